"""Where the processes of a shared fit run: this machine, Spark, a Kubernetes cluster."""
