"""The docs site: what mkdocs.yml does not say. `make docs` builds it, with every link checked; hooks: what MkDocs calls."""
