"""Checks of the Terraform modules, examples and pipelines."""
