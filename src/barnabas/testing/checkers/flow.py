"""What transactions learn of each other, and what a read-process-write loop makes of its input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

from barnabas.testing.checkers.facts import Facts, Fate, Item
from barnabas.testing.checkers.history import Violation


def check_flow(facts: Facts) -> list[Violation]:
    """G1c of Adya, Liskov and O'Neil: no circle of transactions that read of one another.

    Write-write edges do not count: Kafka's transactions do not lock partitions, so two that run at
    the same time may write to two partitions in different orders.
    """
    edges: dict[str, set[str]] = {}
    for read in facts.reads:
        reader = read.transaction
        if reader is None or facts.fate(reader) is Fate.ABORTED:
            continue
        for _, value in read.records:
            sent = facts.sent.get(Item(read.topic, value))
            if sent is not None and sent.transaction is not None:
                edges.setdefault(sent.transaction, set()).add(reader)
    return [
        Violation("circular", " -> ".join([*circle, circle[0]]))
        for circle in strongly_connected(edges)
        if len(circle) > 1 or circle[0] in edges.get(circle[0], ())
    ]


def strongly_connected(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Tarjan's components of a graph, without recursion."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[list[str]] = []
    for root in edges:
        if root in index:
            continue
        work = [(root, iter(sorted(edges.get(root, ()))))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, following = work[-1]
            for each in following:
                if each not in index:
                    index[each] = low[each] = len(index)
                    stack.append(each)
                    on_stack.add(each)
                    work.append((each, iter(sorted(edges.get(each, ())))))
                    break
                if each in on_stack:
                    low[node] = min(low[node], index[each])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    cut = stack.index(node)
                    found.append(stack[cut:])
                    on_stack.difference_update(stack[cut:])
                    del stack[cut:]
    return found


def check_transformed(
    inputs: Iterable[Sequence[str]],
    outputs: Iterable[Sequence[str]],
    transform: Callable[[str], str],
    key: Callable[[str], Hashable],
) -> list[Violation]:
    """T7: what came out is exactly `transform` of what went in, in the order of each key.

    `inputs` and `outputs` are the committed values of each partition; `key` is that of an output.
    """
    wanted: dict[Hashable, list[str]] = {}
    got: dict[Hashable, list[str]] = {}
    for partition in inputs:
        for value in partition:
            out = transform(value)
            wanted.setdefault(key(out), []).append(out)
    for partition in outputs:
        for value in partition:
            got.setdefault(key(value), []).append(value)
    found = []
    for each in wanted.keys() | got.keys():
        due, there = wanted.get(each, []), got.get(each, [])
        if due == there:
            continue
        missing, more = Counter(due) - Counter(there), Counter(there) - Counter(due)
        found += [Violation("lost", f"{value!r} is not in the output") for value in missing]
        for value in more:
            rule = "duplicated" if value in due else "phantom"
            found.append(Violation(rule, f"{value!r} is in the output once too often"))
        if not missing and not more:
            found.append(Violation("reordered", f"outputs of {each!r}: {there}, not {due}"))
    return found
