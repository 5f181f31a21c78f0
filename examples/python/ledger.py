"""Transfers of the ledger: how they are written and signed (ledger/codec.go), with the standard library alone.

The signature is Ed25519 as RFC 8032 writes it down. How long it takes depends on the key: where others can measure that, sign with a library made
against it, such as cryptography.
"""

import base64
import hashlib
import re

# --- Ed25519 (RFC 8032, section 5.1) ---

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
_Y = 4 * pow(5, P - 2, P) % P
_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
BASE = (_X, _Y, 1, _X * _Y % P)


def _add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _multiply(n, p):
    q = (0, 1, 1, 0)
    while n > 0:
        if n & 1:
            q = _add(q, p)
        p, n = _add(p, p), n >> 1
    return q


def _compress(p):
    z = pow(p[2], P - 2, P)
    x, y = p[0] * z % P, p[1] * z % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _expand(seed):
    h = hashlib.sha512(seed).digest()
    return int.from_bytes(h[:32], "little") & ((1 << 254) - 8) | 1 << 254, h[32:]


def _hash_number(data):
    return int.from_bytes(hashlib.sha512(data).digest(), "little") % ORDER


def public_key(seed):
    return _compress(_multiply(_expand(seed)[0], BASE))


def sign(seed, message):
    a, prefix = _expand(seed)
    public = _compress(_multiply(a, BASE))
    r = _hash_number(prefix + message)
    point = _compress(_multiply(r, BASE))
    return point + ((r + _hash_number(point + public + message) * a) % ORDER).to_bytes(32, "little")


# --- Accounts: Bech32 (BIP-173) of 32 bytes ---

LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
PREFIX = "moot"


def _checksum(values):
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            if top >> i & 1:
                check ^= generator
    return check


_EXPANDED = [ord(c) >> 5 for c in PREFIX] + [0] + [ord(c) & 31 for c in PREFIX]


def parse_account(text):
    """Returns the 32 bytes of an account; ValueError for what is mistyped."""
    lower = text.lower()
    values = [LETTERS.find(c) for c in lower[len(PREFIX) + 1 :]]
    if text not in (lower, text.upper()) or not lower.startswith(PREFIX + "1") or len(values) != 58 or -1 in values or _checksum(_EXPANDED + values) != 1:
        raise ValueError(f"{text[:80]!r} is not an account")
    number = 0
    for value in values[:-6]:
        number = number << 5 | value
    if number & 15:
        raise ValueError(f"{text[:80]!r} is not an account")
    return (number >> 4).to_bytes(32, "big")


def format_account(data):
    number = int.from_bytes(data, "big") << 4
    values = [number >> 5 * i & 31 for i in reversed(range(52))]
    check = _checksum(_EXPANDED + values + [0] * 6) ^ 1
    return PREFIX + "1" + "".join(LETTERS[v] for v in values + [check >> 5 * (5 - i) & 31 for i in range(6)])


# --- Transfers ---


def _short(data):
    return bytes([len(data)]) + data


def _hash(domain, *parts):
    return hashlib.sha256(_short(domain.encode()) + b"".join(parts)).digest()


def _key_set(public):
    return bytes([1, 1]) + public  # one of one key signs


def account_of(public):
    """Returns the account that one key speaks for."""
    return format_account(_hash("folkmoot/account/1", _key_set(public)))


def parse_amount(text, scale):
    """Reads an amount in the asset's smallest unit; it is never rounded."""
    match = re.fullmatch(r"([0-9]+)(?:\.([0-9]+))?", text)
    if not match or len(match[2] or "") > scale:
        raise ValueError(f"{text!r} is not an amount with at most {scale} decimal places")
    amount = int(match[1] + (match[2] or "").ljust(scale, "0"))
    if not 0 < amount < 2**128:
        raise ValueError(f"the amount {text} is out of bounds")
    return amount


def transfer(network, seed, asset, to, amount, valid_until, salt, memo=""):
    """Returns the id of a signed transfer, and the bytes to hand in.

    The network is its id in hexadecimal, the asset CODE@ISSUER, the amount in its smallest unit; valid_until is in milliseconds since 1970, and the salt,
    64 bits at random, tells transfers apart that are otherwise the same.
    """
    code, _, issuer = asset.partition("@")
    if not re.fullmatch(r"[A-Z0-9]{1,12}", code):
        raise ValueError(f"{asset[:80]!r} is not an asset: want CODE@ISSUER")
    public = public_key(seed)
    payer = parse_account(account_of(public))
    body = valid_until.to_bytes(8, "big") + b"\0" + salt.to_bytes(8, "big") + _short(memo.encode()) + (1).to_bytes(2, "big")
    body += b"\3" + _short(code.encode()) + parse_account(issuer) + payer + parse_account(to) + amount.to_bytes(16, "big")
    id = _hash("folkmoot/transaction/1", bytes.fromhex(network), body)
    signature = sign(seed, b"folkmoot/signature/1" + id)
    return id.hex(), b"\1" + body + b"\1" + payer + _key_set(public) + b"\1\0" + signature


def read_key(text):
    """Returns the seed of an Ed25519 key in PKCS #8 as PEM, which may follow lines that begin with #."""
    match = re.search(r"-----BEGIN PRIVATE KEY-----(.*)-----END PRIVATE KEY-----", text, re.DOTALL)
    der = base64.b64decode(match[1]) if match else b""
    if len(der) != 48 or der[:16] != bytes.fromhex("302e020100300506032b657004220420"):
        raise ValueError("no Ed25519 key in PEM; a sealed one has to be opened first")
    return der[16:]
