"""The tasks of this project: `inv --list` shows them."""

from berth.collection import collection
from berth.tasks import checks, database, django, images, stack

namespace = collection(
    __file__,
    stack.up,
    stack.build,
    stack.logs,
    stack.ps,
    stack.exec_,
    stack.exec_as_host,
    stack.shell,
    stack.stop,
    stack.restart,
    stack.down,
    stack.config,
    django.manage,
    database.reset_db,
    checks.test,
    checks.test_in_container,
    images,
)
