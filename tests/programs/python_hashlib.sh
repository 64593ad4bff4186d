# python3: digests, key derivation, secrets compared.
cat > program.py <<'END'
import hashlib, hmac, base64, binascii, uuid
data = bytes(range(256)) * 50
for name in ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "sha3_512", "blake2b", "blake2s"]: print(name, hashlib.new(name, data).hexdigest())
print(hashlib.shake_128(data).hexdigest(20), hmac.new(b"key", data, "sha256").hexdigest(), hmac.compare_digest(b"a", b"a"))
print(hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 300).hex(), hashlib.scrypt(b"p", salt=b"s", n=16, r=2, p=1).hex()[:32])
print(base64.b85encode(data[:20]), binascii.crc_hqx(data, 0), uuid.uuid5(uuid.NAMESPACE_DNS, "example.org"))
h = hashlib.sha256(); [h.update(data[i : i + 7]) for i in range(0, len(data), 7)]; print(h.hexdigest() == hashlib.sha256(data).hexdigest())
END
python3 program.py
