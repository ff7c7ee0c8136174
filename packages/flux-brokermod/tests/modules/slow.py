"""A module that has nothing but what all modules have."""

from flux.brokermod import BrokerModule


class Slow(BrokerModule):
    pass
