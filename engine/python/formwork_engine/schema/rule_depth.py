"""How deep the rules of a grammar lead into each other: code that follows them goes as deep."""

from collections.abc import Mapping, Sequence

Rules = Mapping[str, Sequence[str]]
"""The rules that each rule refers to."""


def longest_chain(rules: Rules) -> int:
    """Return a bound on the length of every path that visits no rule twice.

    Rules that lead to each other in a circle count with all of their number.
    """
    depth_of: dict[str, int] = {}
    for circle in _circles(rules):
        inside = set(circle)
        below = max(
            (depth_of[other] for rule in circle for other in rules[rule] if other not in inside),
            default=0,
        )
        for rule in circle:
            depth_of[rule] = below + len(circle)
    return max(depth_of.values(), default=0)


def _circles(rules: Rules) -> list[list[str]]:
    """Return the strongly connected components, each after those that it leads to.

    Tarjan, "Depth-first search and linear graph algorithms" (1972), without recursion.
    """
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[list[str]] = []
    for root in rules:
        if root in number:
            continue
        work = [(root, iter(rules[root]))]
        while work:
            rule, others = work[-1]
            if rule not in number:
                number[rule] = lowest[rule] = len(number)
                stack.append(rule)
                on_stack.add(rule)
            following = next((other for other in others if other not in number), None)
            if following is not None:
                work.append((following, iter(rules[following])))
                continue
            work.pop()
            reached = [lowest[other] for other in rules[rule] if other in on_stack]
            lowest[rule] = min([lowest[rule], *reached])
            if lowest[rule] == number[rule]:
                found.append(_popped_down_to(rule, stack))
                on_stack.difference_update(found[-1])
    return found


def _popped_down_to(rule: str, stack: list[str]) -> list[str]:
    circle = [stack.pop()]
    while circle[-1] != rule:
        circle.append(stack.pop())
    return circle
