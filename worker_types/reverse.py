"""Turns a text around: "OpenAI" becomes "IAnepO"."""


def handle(payload):
    return payload[::-1]
