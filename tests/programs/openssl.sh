# openssl: digests, AES in several modes, RSA and EC keys, sign and verify, certificates.
seq 1 5000 > n
for d in md5 sha1 sha256 sha512 sha3-256 blake2b512; do openssl dgst -$d n; done; openssl dgst -sha256 -hmac key n
K=00112233445566778899aabbccddeeff IV=000102030405060708090a0b0c0d0e0f
for c in aes-128-cbc aes-128-ctr aes-256-cbc chacha20 camellia-128-cbc; do k=$K; case $c in *256*|chacha*) k=$K$K;; esac; openssl enc -$c -K $k -iv $IV -in n -out n.enc && sha256sum < n.enc && openssl enc -d -$c -K $k -iv $IV -in n.enc | cmp - n && echo "$c round"; done
openssl enc -aes-256-cbc -pbkdf2 -iter 1000 -S 0102030405060708 -pass pass:secret -in n | sha256sum
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out key.pem 2>/dev/null && openssl pkey -in key.pem -pubout -out pub.pem && openssl pkey -in key.pem -check -noout
openssl dgst -sha256 -sign key.pem -out sig n && openssl dgst -sha256 -verify pub.pem -signature sig n; echo changed >> n; openssl dgst -sha256 -verify pub.pem -signature sig n 2>/dev/null; echo "status $?"
echo secret | openssl pkeyutl -encrypt -pubin -inkey pub.pem -pkeyopt rsa_padding_mode:oaep -out c && openssl pkeyutl -decrypt -inkey key.pem -pkeyopt rsa_padding_mode:oaep -in c
openssl ecparam -name prime256v1 -genkey -noout -out ec.pem && openssl dgst -sha256 -sign ec.pem -out ecsig n && openssl dgst -sha256 -prverify ec.pem -signature ecsig n
openssl genpkey -algorithm ed25519 -out ed.pem && openssl pkeyutl -sign -inkey ed.pem -rawin -in n -out edsig && openssl pkeyutl -verify -inkey ed.pem -rawin -in n -sigfile edsig
openssl req -x509 -new -key ec.pem -subj /CN=guest -days 10 -config /dev/null -out cert.pem 2>/dev/null && openssl x509 -in cert.pem -noout -subject && openssl verify -CAfile cert.pem cert.pem
openssl prime 18446744073709551557; openssl base64 -in n | openssl base64 -d | cmp - n && echo base64; openssl rand 20 | wc -c
