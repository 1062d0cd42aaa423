"""The guard of several machines that holds a Lease of their Kubernetes cluster: the only one of them that runs."""
