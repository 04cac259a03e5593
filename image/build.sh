#!/bin/sh
# Build the image of Fairlead with docker or buildah: image/build.sh TARGET [NAME [BASE]]
set -eu
cd -- "$(dirname -- "$0")/.."
version=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' src/fairlead/version.py)
target=$1
name=${2:-fairlead:$version-$target}
base=${3:-}

fail() {
    echo "image: $*" >&2
    exit 1
}

case $target in
    forest | boosters | distributed) ;;
    *) fail "TARGET is forest, boosters or distributed, not '$target'" ;;
esac
if docker info > /dev/null 2>&1; then
    engine=docker
elif command -v buildah > /dev/null; then
    engine=buildah
else
    fail "neither a Docker engine nor buildah is here: install one of them"
fi

revision=$(git describe --always --abbrev=40 --dirty 2> /dev/null || true)
set -- --build-arg "TARGET=$target" --tag "$name" \
    --label "org.opencontainers.image.version=$version" \
    --label "org.opencontainers.image.revision=$revision"
[ -z "$base" ] || set -- "$@" --build-arg "BASE=$base" --label "org.opencontainers.image.base.name=$base"
# What the Dockerfile takes of pip's settings, with the values that the environment has.
for setting in $(sed -n 's/^ARG \(PIP_[A-Z_]*\)$/\1/p' Dockerfile); do
    ! printenv "$setting" > /dev/null || set -- "$@" --build-arg "$setting"
done

inside=/opt/fairlead/share/fairlead/sbom.cdx.json
sbom=build/$(printf %s "$name" | tr /: --).cdx.json
mkdir -p build
case $engine in
    docker)
        docker build "$@" .
        docker run --rm --entrypoint cat "$name" "$inside" > "$sbom"
        ;;
    buildah)
        buildah bud --layers "$@" .
        container=$(buildah from "$name")
        trap 'buildah rm "$container" > /dev/null' EXIT
        buildah run "$container" -- cat "$inside" > "$sbom"
        ;;
esac
echo "image: $name; what is in it: $sbom"
