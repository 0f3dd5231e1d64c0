"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
Create Date: ${create_date}
"""

from typing import cast

import sqlalchemy as sa
from alembic import op
from alembic.operations import Operations
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}

# With `alembic upgrade` this stands for the operations of the running environment; a program hands in its own.
RUNNING = cast("Operations", op)


def upgrade(operations: Operations = RUNNING) -> None:
    """Use `operations`, never `op`, and the names of `operations.get_context().opts["dblog"]`."""
    ${upgrades if upgrades else "pass"}


def downgrade(operations: Operations = RUNNING) -> None:
    """Undo `upgrade`."""
    ${downgrades if downgrades else "pass"}
