"""The tables: their schema, migrations, partitions, retention and health."""
