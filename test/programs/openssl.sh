#!/bin/bash
# openssl: digests, ciphers, a certificate and its signature.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need openssl
sinks=default

head -c 2000000 /dev/zero | openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff -iv 00 -nosalt >"$work/data" 2>/dev/null
openssl genrsa -out "$work/key.pem" 2048 2>/dev/null

cat >"$work/script" <<'SCRIPT'
set -e
for digest in md5 sha256 sha512 sha3-256 blake2b512; do
	openssl dgst -"$digest" -r <"$1/data"
done
for cipher in aes-256-cbc chacha20 aes-128-ctr; do
	openssl enc -"$cipher" -pbkdf2 -iter 500 -S 0011223344556677 -pass pass:word -in "$1/data" -out "$cipher"
	openssl enc -d -"$cipher" -pbkdf2 -iter 500 -S 0011223344556677 -pass pass:word -in "$cipher" | cmp - "$1/data"
done
openssl dgst -sha256 -sign "$1/key.pem" -out signature "$1/data"
openssl rsa -in "$1/key.pem" -pubout -out public.pem 2>/dev/null
openssl dgst -sha256 -verify public.pem -signature signature "$1/data"
openssl req -new -key "$1/key.pem" -subj /CN=localhost -out request.pem -config /dev/null
openssl req -in request.pem -noout -verify -text -config /dev/null
openssl prime -generate -bits 256 >/dev/null
openssl prime 0x1fffffffffffffff
openssl asn1parse -in request.pem
openssl ciphers ALL
SCRIPT

compare openssl bash "$work/script" "$work"
expect_success openssl
