"""Running the mesh: local launcher, database, migrations."""
