"""The toolkit: what plugins may use. Each module says how stable it is; docs/api.md lists them all."""
