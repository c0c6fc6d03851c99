"""The systems of the comparison, in the order of a round. A module each, with its settings in SYSTEMS."""

from peers import beanstalkd, celery, gearmand, huey, nats, postgresql, taskgrid

MODULES = {
    "taskgrid": taskgrid,
    "postgresql": postgresql,
    "beanstalkd": beanstalkd,
    "nats": nats,
    "gearmand": gearmand,
    "celery": celery,
    "huey": huey,
}
