package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"sort"
	"strings"
	"time"
)

const (
	algorithm = "AWS4-HMAC-SHA256"
	instant   = "20060102T150405Z"
	skew      = 5 * time.Minute // AWS general reference: requests older than that are refused
)

type identity struct{ key, secret, token string }

// A verifier recomputes Signature Version 4 of requests; one per connection, for it keeps the key
// it derived last and its buffers.
type verifier struct {
	who   identity
	now   func() time.Time
	scope string
	key   []byte
	text  bytes.Buffer
}

// check returns why a request is not signed as AWS demands, or "".
func (v *verifier) check(r *request) string {
	credential, signed, signature, why := authorization(r.headers["authorization"])
	if why != "" {
		return why
	}
	key, scope, _ := strings.Cut(credential, "/")
	if key != v.who.key {
		return "unknown access key"
	}
	stamp := r.headers["x-amz-date"]
	if why := v.checkScope(scope, stamp); why != "" {
		return why
	}
	if why := v.checkHeaders(r.headers, signed); why != "" {
		return why
	}
	want := v.signature(r, signed, stamp, scope)
	if subtle.ConstantTimeCompare([]byte(want), []byte(signature)) != 1 {
		return "signature does not match"
	}
	return ""
}

// authorization takes the header apart: credential, signed headers, signature.
func authorization(header string) (credential, signed, signature, why string) {
	rest, found := strings.CutPrefix(header, algorithm+" ")
	if !found {
		return "", "", "", "not signed with " + algorithm
	}
	for _, part := range strings.Split(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			credential = value
		case "SignedHeaders":
			signed = value
		case "Signature":
			signature = value
		}
	}
	if credential == "" || signed == "" || signature == "" {
		return "", "", "", "incomplete Authorization header"
	}
	return credential, signed, signature, ""
}

func (v *verifier) checkScope(scope, stamp string) string {
	at, err := time.Parse(instant, stamp)
	if err != nil {
		return "X-Amz-Date is no instant"
	}
	if age := v.now().Sub(at); age > skew || age < -skew {
		return "signed at another time"
	}
	parts := strings.Split(scope, "/")
	if len(parts) != 4 || parts[1] == "" || parts[3] != "aws4_request" {
		return "bad credential scope"
	}
	if parts[0] != stamp[:8] {
		return "the scope's day is not that of X-Amz-Date"
	}
	if parts[2] != "sagemaker" {
		return "signed for another service"
	}
	if scope != v.scope {
		key := []byte("AWS4" + v.who.secret)
		for _, part := range parts {
			key = mac(key, []byte(part))
		}
		v.scope, v.key = scope, key
	}
	return ""
}

// checkHeaders demands what AWS demands to be signed, and the session token where there is one.
func (v *verifier) checkHeaders(headers map[string]string, signed string) string {
	names := strings.Split(signed, ";")
	if !sort.StringsAreSorted(names) {
		return "signed headers are not sorted"
	}
	has := func(name string) bool {
		at := sort.SearchStrings(names, name)
		return at < len(names) && names[at] == name
	}
	for _, name := range names {
		if _, there := headers[name]; !there {
			return "signed header is missing: " + name
		}
	}
	for _, name := range []string{"host", "x-amz-date"} {
		if !has(name) {
			return "not signed: " + name
		}
	}
	for name := range headers {
		if strings.HasPrefix(name, "x-amz-") && !has(name) {
			return "not signed: " + name
		}
	}
	if headers["x-amz-security-token"] != v.who.token {
		return "wrong session token"
	}
	return ""
}

func (v *verifier) signature(r *request, signed, stamp, scope string) string {
	path, query, _ := strings.Cut(r.target, "?")
	v.text.Reset()
	v.text.WriteString(r.method)
	// Every service but S3 encodes the path twice; what arrives is encoded once.
	v.text.WriteString("\n" + strings.ReplaceAll(path, "%", "%25") + "\n" + query + "\n")
	for _, name := range strings.Split(signed, ";") {
		v.text.WriteString(name)
		v.text.WriteByte(':')
		v.text.WriteString(single(r.headers[name]))
		v.text.WriteByte('\n')
	}
	v.text.WriteString("\n" + signed + "\n")
	body := sha256.Sum256(r.body)
	v.text.WriteString(hex.EncodeToString(body[:]))
	whole := sha256.Sum256(v.text.Bytes())
	text := algorithm + "\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(whole[:])
	return hex.EncodeToString(mac(v.key, []byte(text)))
}

// single collapses runs of blanks, as the canonical form of a header's value demands.
func single(value string) string {
	if !strings.Contains(value, "  ") {
		return value
	}
	return strings.Join(strings.Fields(value), " ")
}

func mac(key, text []byte) []byte {
	made := hmac.New(sha256.New, key)
	made.Write(text)
	return made.Sum(nil)
}
