"""A module a page: it reads what its URL asks for, and fills its template of the same name."""
