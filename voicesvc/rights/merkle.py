"""A Merkle tree over a log that only grows (RFC 9162, section 2.1), with its proofs.

`node(level, i)` gives the hash over the 2^level leaves from i * 2^level on. Knows nothing of where
they are kept.
"""

import hashlib
from collections.abc import Callable, Sequence

Node = Callable[[int, int], bytes]
HASH_BYTES = 32


def leaf(content: bytes) -> bytes:
    """The hash of an entry."""
    return hashlib.sha256(b"\0" + content).digest()


def parent(left: bytes, right: bytes) -> bytes:
    """The hash of two."""
    return hashlib.sha256(b"\1" + left + right).digest()


def grown(
    size: int, peaks: Sequence[bytes], fresh: bytes
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """What a leaf completes, from level 0 up; and the peaks of the tree with it.

    The peaks of a tree are the roots of its largest complete subtrees, the largest first; `size`
    and `peaks` are those before.
    """
    stack, completed = list(peaks), [fresh]
    while size & 1:
        completed.append(parent(stack.pop(), completed[-1]))
        size >>= 1
    return tuple(completed), (*stack, completed[-1])


def root_of(peaks: Sequence[bytes]) -> bytes:
    """The root of a tree with these peaks."""
    if not peaks:
        return hashlib.sha256(b"").digest()
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = parent(peak, root)
    return root


def _root(begin: int, end: int, node: Node) -> bytes:
    size = end - begin
    if size & (size - 1) == 0 and begin % size == 0:
        level = size.bit_length() - 1
        return node(level, begin >> level)
    split = 1 << ((size - 1).bit_length() - 1)
    return parent(_root(begin, begin + split, node), _root(begin + split, end, node))


def inclusion(at: int, size: int, node: Node, begin: int = 0) -> list[bytes]:
    """The path from leaf `at` to the root of a tree of `size` (RFC 9162, section 2.1.3.1)."""
    if size == 1:
        return []
    split = 1 << ((size - 1).bit_length() - 1)
    middle, end = begin + split, begin + size
    if at < split:
        return [*inclusion(at, split, node, begin), _root(middle, end, node)]
    return [*inclusion(at - split, size - split, node, middle), _root(begin, middle, node)]


def consistency(old: int, size: int, node: Node) -> list[bytes]:
    """That a tree of `size` has the tree of `old` in it (RFC 9162, section 2.1.4.1); 0 < old."""
    return _consistency(old, size, node, 0, True)


def _consistency(old: int, size: int, node: Node, begin: int, whole: bool) -> list[bytes]:
    if old == size:
        return [] if whole else [_root(begin, begin + size, node)]
    split = 1 << ((size - 1).bit_length() - 1)
    middle, end = begin + split, begin + size
    if old <= split:
        return [*_consistency(old, split, node, begin, whole), _root(middle, end, node)]
    rest = _consistency(old - split, size - split, node, middle, False)
    return [*rest, _root(begin, middle, node)]


def verify_inclusion(fresh: bytes, at: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether a leaf's hash is at its place (RFC 9162, section 2.1.3.2)."""
    if not 0 <= at < size:
        return False
    left, last, found = at, size - 1, fresh
    for step in path:
        if last == 0:
            return False
        if left & 1 or left == last:
            found = parent(step, found)
            while not left & 1 and left:
                left, last = left >> 1, last >> 1
        else:
            found = parent(found, step)
        left, last = left >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(
    old: int, size: int, old_root: bytes, root: bytes, path: Sequence[bytes]
) -> bool:
    """Whether nothing of the older tree was changed (RFC 9162, section 2.1.4.2)."""
    if old == size:
        return old_root == root and not path
    if not 0 < old < size or not path:
        return False
    steps = list(path) if old & (old - 1) else [old_root, *path]
    left, last = old - 1, size - 1
    while left & 1:
        left, last = left >> 1, last >> 1
    before = now = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if left & 1 or left == last:
            before, now = parent(step, before), parent(step, now)
            while not left & 1 and left:
                left, last = left >> 1, last >> 1
        else:
            now = parent(now, step)
        left, last = left >> 1, last >> 1
    return before == old_root and now == root and last == 0
