"""Verifies a receipt of Carillon's audit log, offline, with Python's standard library alone.

usage: python3 verify_receipt.py RECEIPT.json [PUBLIC_KEY_LINE]
Get the key from the operator by another way (`carillon audit checkpoint --key`). Without it, the
key in the receipt is used, which shows only that the receipt fits together.
"""

import base64
import hashlib
import json
import sys

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


class Invalid(Exception): ...


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# Ed25519 (RFC 8032): points as (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z.
def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, g, h, f = f - e, h - g, h + g, f + e
    return e * g % P, h * f % P, g * h % P, e * f % P


def times(number, point):
    found = (0, 1, 1, 0)
    while number:
        if number & 1:
            found = add(found, point)
        point, number = add(point, point), number >> 1
    return found


def decompress(raw):
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if y >= P or (x * x - square) % P or (not x and sign):
        raise Invalid("a point of the signature is not on the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def is_signed(public, signature, text):
    scalar = int.from_bytes(signature[32:], "little")
    if len(public) != 32 or len(signature) != 64 or scalar >= ORDER:
        return False
    hashed = hashlib.sha512(signature[:32] + public + text).digest()
    left = times(scalar, decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little")))
    challenge = int.from_bytes(hashed, "little") % ORDER
    right = add(decompress(signature[:32]), times(challenge, decompress(public)))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


def root_of_checkpoint(note, key_line):
    """Returns the size and root of a signed checkpoint (C2SP signed-note, tlog-checkpoint)."""
    name, key_id, encoded = key_line.strip().split("+", 2)
    key = base64.b64decode(encoded)
    if sha256(name.encode(), b"\n", key)[:4].hex() != key_id or key[:1] != b"\x01":
        raise Invalid("the public key is not a key line for Ed25519")
    body, _, lines = note.rpartition("\n\n")
    for line in lines.splitlines():
        words = line.split(" ")
        raw = base64.b64decode(words[2])
        if words[1] == name and raw[:4].hex() == key_id:
            origin, size, root, time = body.split("\n")[:4]
            if origin == name and is_signed(key[1:], raw[4:], (body + "\n").encode()):
                return int(size), base64.b64decode(root), time
    raise Invalid("the public key has not signed the checkpoint")


def root_of_inclusion(leaf, index, size, proof):
    """Returns the root that an inclusion proof leads to (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        raise Invalid("the tree has no such leaf")
    last = size - 1
    for each in proof:
        if not last:
            raise Invalid("the proof is too long")
        if index & 1 or index == last:
            leaf = sha256(b"\x01", each, leaf)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            leaf = sha256(b"\x01", leaf, each)
        index, last = index >> 1, last >> 1
    if last:
        raise Invalid("the proof is too short")
    return leaf


def leaf_hash(leaf, data):
    subject = "" if leaf["user_id"] is None else str(leaf["user_id"])
    names = (leaf["kind"], str(leaf["at_ms"]), leaf["actor"], leaf["action"], leaf["target"])
    fields = [each.encode() for each in ("carillon-audit-leaf/v1", *names, subject)]
    return sha256(b"\x00", *(b"%d:%b," % (len(each), each) for each in fields), sha256(data))


def verify(item, key_line):
    leaf, opening = item["leaf"], item["opening"]
    data, salt = base64.b64decode(leaf["data"]), bytes.fromhex(opening["salt"])
    text = opening["text"].encode()
    if leaf["kind"] == "slice":
        number = opening["message_id"].to_bytes(8, "big")
        end = 2 + 32 * int.from_bytes(data[:2], "big")
        known = [data[at : at + 32] for at in range(2, end, 32)]
        commitment = sha256(b"decision", salt, number, text)
        what = f"message {opening['message_id']}"
    else:
        known, what = [data[:32]], f"{leaf['actor']} {leaf['action']} {leaf['target']}"
        commitment = sha256(b"entry", salt, text)
    if commitment not in known:
        raise Invalid("the text is not what the leaf commits to")
    size, root, time = root_of_checkpoint(item["checkpoint"], key_line)
    proof = [bytes.fromhex(each) for each in item["proof"]["hashes"]]
    if root_of_inclusion(leaf_hash(leaf, data), leaf["number"], size, proof) != root:
        raise Invalid("the proof does not lead to the signed root")
    return f"leaf {leaf['number']} of {size} ({time}): {what}: {opening['text']}"


def main(arguments):
    with open(arguments[0], encoding="utf-8") as file:
        receipt = json.load(file)
    try:
        if receipt["format"] != "carillon-receipt/v1" or not receipt["receipts"]:
            raise Invalid("this is no receipt of a form that this script knows")
        key_line = arguments[1] if len(arguments) > 1 else receipt["public_key"]
        for item in receipt["receipts"]:
            print(verify(item, key_line))
    except (Invalid, KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        print(f"INVALID: {type(error).__name__}: {error}")
        return 1
    print("valid" if len(arguments) > 1 else f"valid, if the log's key is {key_line}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
