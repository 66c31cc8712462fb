"""What Alembic runs; the connection is the kit's."""

from services.kit import migrations

migrations.run()
