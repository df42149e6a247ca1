"""Golden files: what the networks must return, made by implementations people trust. See README.md."""
