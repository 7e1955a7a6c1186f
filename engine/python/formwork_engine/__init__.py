"""The grammar engine: schema → index → masks."""
