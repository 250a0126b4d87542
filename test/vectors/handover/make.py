"""Second implementation of docs/formats/handover.md; writes v1.json and v1-quote.json. Needs python3-cryptography."""
import hashlib, hmac, json, struct
from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

e = lambda x: struct.pack('>I', len(x)) + x
H = lambda x: hashlib.sha256(x).digest()
mac = lambda k, x: hmac.new(k, x, 'sha256').digest()
L = b'enclave-cc/handover/1'
b = lambda byte, n=32: bytes([byte]) * n

def cmac128(key, data):
    c = cmac.CMAC(algorithms.AES(key)); c.update(data); return c.finalize()

PLATFORM = b(7, 16)
DIGEST = b(0xd1)
FLAGS = 0x01 | 0x04 | 0x80

def target_info(mr_enclave):
    return mr_enclave + struct.pack('<QQ', FLAGS, 3) + bytes(16) + DIGEST + bytes(32) + bytes(384)

def report(mr_enclave, mr_signer, prod, svn, target, data):
    body = (bytes(16) + bytes(4) + bytes(28) + struct.pack('<QQ', FLAGS, 3) + mr_enclave + bytes(32) + mr_signer
            + bytes(32) + DIGEST + bytes(32) + struct.pack('<HHH', prod, svn, 0) + bytes(42) + bytes(16) + data)
    assert len(body) == 384
    return body + bytes(32) + cmac128(cmac128(PLATFORM, H(target)), body)

launch_id, n_i, x_i, n_a, x_a = b(0x21), b(0x11), b(0x12), b(0x23), b(0x22)
pub = lambda s: X25519PrivateKey.from_private_bytes(s).public_key().public_bytes_raw()
manifest_digest = b'sha256:' + b'0' * 64
plain = (launch_id + struct.pack('>I', 1) + b(1) + b(2) + e(b'H') + e(b'layer-0.sealed') + e(b'{"args":[]}') + e(b'{}'))

def run(form, ti_i, ti_a, agent_evidence, init_evidence):
    m1 = bytes([form]) + launch_id + n_i + pub(x_i) + e(ti_i)
    t1 = H(e(L) + e(m1))
    b2 = n_a + pub(x_a) + e(ti_a) + e(b'pod') + e(b'c1') + e(manifest_digest) + e(DIGEST)
    e_a = agent_evidence(hashlib.sha512(e(L) + e(b'agent') + t1 + e(b2)).digest())
    t2 = H(t1 + e(b2) + e(e_a))
    prk = mac(t2, X25519PrivateKey.from_private_bytes(x_i).exchange(X25519PublicKey.from_public_bytes(pub(x_a))))
    kc = mac(prk, e(L) + e(b'confirm') + b'\x01')
    e_i = init_evidence(hashlib.sha512(e(L) + e(b'init') + t2).digest())
    f = mac(kc, t2 + e(e_i))
    t3 = H(t2 + e(e_i) + e(f))
    k_ai = mac(prk, e(L) + e(b'A>I') + t3 + b'\x01')
    k_ia = mac(prk, e(L) + e(b'I>A') + t3 + b'\x01')
    m4 = AESGCM(k_ai).encrypt(bytes(12), plain, t3 + b'\x04')
    m5 = AESGCM(k_ia).encrypt(bytes(12), b'ok', H(t3 + e(m4)) + b'\x05')
    tag = t2[:16]
    return json.dumps({
        'initiatorRandom': [n_i.hex(), x_i.hex()],
        'responderRandom': [launch_id.hex(), x_a.hex(), n_a.hex()],
        'T1': t1.hex(), 'T2': t2.hex(), 'T3': t3.hex(), 'kAI': k_ai.hex(), 'kIA': k_ia.hex(), 'payload': plain.hex(),
        'messages': [(b'\x01' + m1).hex(), (b'\x02' + e(b2) + e(e_a)).hex(), (b'\x03' + tag + e(e_i) + f).hex(),
                     (b'\x04' + m4).hex(), (b'\x05' + tag + m5).hex()],
    }, indent=2) + '\n'

ti_i, ti_a = target_info(b(0xb1)), target_info(b(0xa1))
open('v1.json', 'w').write(run(1, ti_i, ti_a,
    lambda data: report(b(0xa1), b(0x51), 1, 3, ti_i, data),
    lambda data: report(b(0xb1), b(0x51), 2, 1, ti_a, data)))
open('v1-quote.json', 'w').write(run(2, b'', b'', lambda data: b'quote of A over ' + data, lambda data: b'quote of I over ' + data))
