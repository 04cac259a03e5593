"""The version of this package, apart from what `import fairlead` brings along."""

VERSION = "0.1.0"
