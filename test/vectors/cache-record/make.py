"""Second implementation of docs/formats/cache-record.md; writes records.json and *.record. Needs python3-cryptography."""
import hashlib, hmac, json, struct
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

e = lambda x: struct.pack('>I', len(x)) + x
seq = lambda first, n: bytes(range(first, first + n))
hkdf = lambda ikm, salt, info: HKDF(SHA256(), 32, salt, info).derive(ikm)

SK = seq(0x40, 32)

def record(name, media_type, scope, opts, flags, file_id, nonce):
    blob, diff = 'sha256:' + '11' * 32, 'sha256:' + '22' * 32
    lid = hashlib.sha256(e(b'ecc/lid/1') + e(blob.encode()) + e(media_type.encode()) + e(diff.encode())
                         + struct.pack('>I', 1) + e(scope)).digest()
    h = (b'ECCSEAL\0' + struct.pack('>HBBQI', 1, 1, 12, 20000, 5) + file_id + lid)
    k1 = hkdf(SK, b'', e(b'ecc/cache/1') + lid)
    wk = hkdf(opts, k1, e(b'ecc/wrap/1') + lid)
    key, root = seq(0x80, 32), seq(0xa0, 32)
    plain = key + root + e(h) + bytes([flags])
    sealed = b'ECCREC\0\1' + file_id + nonce + AESGCM(wk).encrypt(nonce, plain, e(b'ecc/rec/1') + lid)
    assert len(h) == 72 and len(sealed) == 193
    open(name + '.record', 'wb').write(sealed)
    return {'title': name, 'digest': blob, 'mediaType': media_type, 'diffId': diff, 'scope': scope.hex(),
            'options': opts.hex(), 'layerId': lid.hex(), 'k1': k1.hex(), 'wrappingKey': wk.hex(),
            'name': hmac.new(wk, b'name', 'sha256').hexdigest(), 'nonce': nonce.hex(), 'key': key.hex(),
            'root': root.hex(), 'header': h.hex(), 'opaqueRoot': flags == 1, 'record': sealed.hex()}

LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'
json.dump({'sealingKey': SK.hex(), 'records': [
    record('encrypted', LAYER + '+encrypted', b'', seq(0, 48), 0, seq(0xc0, 16), seq(0xe0, 12)),
    record('plain', LAYER, seq(0x60, 32), b'plain', 1, seq(0xd0, 16), seq(0xf0, 12)),
]}, open('records.json', 'w'), indent=1)
open('records.json', 'a').write('\n')
