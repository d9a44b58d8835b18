"""The tests of the order service. What they need of Kafka is in the pytest plugin of Barnabas."""

from __future__ import annotations

import pytest
from orders import OrderService, Refused, bill

from barnabas.testing import Broker


@pytest.fixture
def service(kafka: Broker, kafka_topic: str) -> OrderService:
    return OrderService(kafka.bootstrap_servers, kafka_topic)


def test_an_order_takes_its_way(service: OrderService) -> None:
    service.place("o1", 990)
    service.pay("o1")
    service.ship("o1")
    assert service.orders.states == {"o1": "shipped"}


@pytest.mark.parametrize("too_early", ["pay", "ship", "cancel"])
def test_nothing_happens_to_an_order_that_nobody_placed(
    service: OrderService, too_early: str
) -> None:
    with pytest.raises(Refused, match="order o1 is unknown"):
        getattr(service, too_early)("o1")


def test_what_is_shipped_is_not_cancelled(service: OrderService) -> None:
    service.place("o1", 990)
    service.pay("o1")
    service.ship("o1")
    with pytest.raises(Refused, match="is shipped: not to be cancelled"):
        service.cancel("o1")


def test_a_service_that_starts_anew_knows_everything(
    kafka: Broker, kafka_topic: str, service: OrderService
) -> None:
    for number in range(50):
        service.place(f"o{number}", number)
    service.cancel("o7")
    again = OrderService(kafka.bootstrap_servers, kafka_topic)
    assert again.orders == service.orders


def test_every_order_is_billed_once_whoever_does_it(
    kafka: Broker, kafka_topic: str, service: OrderService
) -> None:
    for number in range(5):
        service.place(f"o{number}", 100 + number)
    bills: dict[str, int] = {}
    assert bill(kafka.bootstrap_servers, kafka_topic, bills.__setitem__, most=3) == 3
    assert bill(kafka.bootstrap_servers, kafka_topic, bills.__setitem__, most=100) == 2
    assert bills == {f"o{number}": 100 + number for number in range(5)}


def test_orders_outlive_the_broker(fresh_kafka: Broker) -> None:
    fresh_kafka.create_topic("orders")
    service = OrderService(fresh_kafka.bootstrap_servers, "orders")
    service.place("o1", 990)
    fresh_kafka.restart()
    service.pay("o1")
    assert OrderService(fresh_kafka.bootstrap_servers, "orders").orders.states == {"o1": "paid"}
