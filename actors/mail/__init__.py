"""Mail as EMAIL_SEND needs it: mailboxes, messages and their delivery."""


class Undeliverable(Exception):
    """This mail will never be delivered: trying again is useless."""


class NotDelivered(Exception):
    """This mail was not delivered, and may be later."""
