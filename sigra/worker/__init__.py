"""Later work: tasks that outlive a request, mail that waits, and periodic jobs."""

from sigra.worker.background import PATIENCE, Background
from sigra.worker.delivery import Delivery
from sigra.worker.jobs import Jobs
from sigra.worker.loop import Worker

__all__ = ["PATIENCE", "Background", "Delivery", "Jobs", "Worker"]
