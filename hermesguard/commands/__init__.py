"""The verbs, one module for each group. The parser names them; a module is imported when its verb is typed."""
