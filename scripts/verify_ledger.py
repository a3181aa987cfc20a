"""Checks what a voicesvc hands out about its ledger. Needs Python 3.9 and nothing else.

    verify_ledger.py KEY PROOF...  /v1/ledger/7, /v1/ledger/consistency?old=7, /v1/statements?…
    verify_ledger.py KEY HEAD ENTRIES    all of it: /v1/ledger/head, and /v1/ledger/entries

KEY is an answer of /v1/ledger/head, or its "key" alone, kept from the first day on. Prints what
holds and ends with 0, or says what does not and ends with 1.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

Point = tuple[int, int, int, int]
# Ed25519, RFC 8032, section 5.1.
P, Q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, MINUS_1_ROOT = -121665 * pow(121666, P - 2, P) % P, pow(2, (P - 1) // 4, P)


def _add(a: Point, b: Point) -> Point:
    m, n = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = n - m, d - c, d + c, n + m
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(n: int, point: Point) -> Point:
    total = (0, 1, 1, 0)
    while n:
        total = _add(total, point) if n & 1 else total
        point, n = _add(point, point), n >> 1
    return total


def _point(data: bytes) -> Point:
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    x = x * MINUS_1_ROOT % P if (x * x - x2) % P else x
    if (x * x - x2) % P or y >= P or (x == 0 and sign):
        raise ValueError("not a point of the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def _signed_by(key: bytes, message: bytes, signature: bytes) -> bool:
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= Q:
        return False
    h = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % Q
    base = _point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    a, b = _times(s, base), _add(_point(r), _times(h, _point(key)))
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


# The tree, RFC 9162, section 2.1.
def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _root(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return _parent(_root(leaves[:k]), _root(leaves[k:]))


def _climbed(at: int, last: int, now: bytes, path: list[bytes]) -> tuple[bytes, bytes]:
    """The root that a path leads to, and the root of the tree that ended at `at`."""
    before = now
    for step in path:
        if last == 0:
            raise ValueError("the path is too long")
        if at & 1 or at == last:
            now, before = _parent(step, now), _parent(step, before)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            now = _parent(now, step)
        at, last = at >> 1, last >> 1
    if last:
        raise ValueError("the path is too short")
    return now, before


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _head(answer: Any, key: bytes) -> tuple[int, bytes]:
    """Size and root of a head that the key signed."""
    for member in answer["signed"]["signatures"]:
        message = f"{member['protected']}.{answer['signed']['payload']}".encode()
        header = json.loads(_decoded(member["protected"]))
        ours = (header["alg"], header["typ"]) == ("Ed25519", "voicesvc-head+jws")
        if ours and _signed_by(key, message, _decoded(member["signature"])):
            said = json.loads(_decoded(answer["signed"]["payload"]))
            return said["size"], bytes.fromhex(said["root"])
    raise ValueError("the head is not signed by this key")


def _checked(answer: Any, key: bytes) -> str:
    """What a proof proves, in words."""
    size, root = _head(answer["head"], key)
    path = [bytes.fromhex(h) for h in answer["path"]]
    if "old" not in answer:
        at, leaf = answer["seq"], hashlib.sha256(b"\0" + answer["body"].encode()).digest()
        if not 0 <= at < size or _climbed(at, size - 1, leaf, path)[0] != root:
            raise ValueError(f"entry {at} is not in the tree")
        return f"entry {at} is one of {size}: {answer['body']}"
    old, old_root = _head(answer["old"], key)
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    steps = path if old & (old - 1) and old != size else [old_root, *path]
    if not 0 < old <= size or _climbed(at, last, steps[0], steps[1:]) != (root, old_root):
        raise ValueError(f"the first {old} entries are not what they were")
    return f"the first {old} entries of {size} are what they were"


def _main(paths: list[str]) -> int:
    try:
        said, *answers = [Path(path).read_text("utf-8") for path in paths]
        key = _decoded(json.loads(said).get("key", json.loads(said))["x"])
        first = json.loads(answers[0])
        if "proofs" in first:
            answers = [json.dumps({**proof, "head": first["head"]}) for proof in first["proofs"]]
        if "path" in first or "proofs" in first:
            print("\n".join(_checked(json.loads(answer), key) for answer in answers))
            return 0
        size, root = _head(first, key)
        bodies = [json.loads(line)["body"].encode() for line in answers[1].splitlines()][:size]
        found = _root([hashlib.sha256(b"\0" + body).digest() for body in bodies])
        in_order = all(json.loads(body)["seq"] == i for i, body in enumerate(bodies))
        if len(bodies) != size or found != root or not in_order:
            raise ValueError("the entries are not those that the head was signed for")
        print(f"{size} entries, unchanged")
    except (ValueError, KeyError, TypeError, IndexError) as e:
        print(f"NOT SO: {e}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]) if len(sys.argv) > 2 else __doc__)
