package relyingparty

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"
)

// Names reports whether a certificate is that of the subject: its name, or one
// of its alternative names, is the registered one (RFC 8705 section 2.1). That
// the certificate is by a trusted authority is for the caller to check.
func (s TLSSubject) Names(c *x509.Certificate) bool {
	switch {
	case s.DN != "":
		registered, err := parseDN(s.DN)
		return err == nil && registered.is(c.RawSubject)
	case s.DNS != "":
		// The name itself: a wildcard is the name of no client.
		return slices.ContainsFunc(c.DNSNames, func(name string) bool { return strings.EqualFold(name, s.DNS) })
	case s.URI != "":
		for _, uri := range c.URIs {
			if uri.String() == s.URI {
				return true
			}
		}
	case s.IP != "":
		registered, err := netip.ParseAddr(s.IP)
		for _, ip := range c.IPAddresses {
			if address, ok := netip.AddrFromSlice(ip); err == nil && ok && address.Unmap() == registered.Unmap() {
				return true
			}
		}
	case s.Email != "":
		return slices.Contains(c.EmailAddresses, s.Email)
	}
	return false
}

// Expected describes the subject, "" if there is none.
func (s TLSSubject) Expected() string {
	for kind, value := range map[string]string{
		"subject ": s.DN, "DNS name ": s.DNS, "URI ": s.URI, "IP address ": s.IP, "email address ": s.Email,
	} {
		if value != "" {
			return kind + value
		}
	}
	return ""
}

// attributes are the short names of RFC 4514 section 3, and those that
// certificates of health services and their tools use.
var attributes = map[string]string{
	"CN": "2.5.4.3", "SN": "2.5.4.4", "SERIALNUMBER": "2.5.4.5", "C": "2.5.4.6", "L": "2.5.4.7", "ST": "2.5.4.8", "STREET": "2.5.4.9",
	"O": "2.5.4.10", "OU": "2.5.4.11", "TITLE": "2.5.4.12", "POSTALCODE": "2.5.4.17", "GIVENNAME": "2.5.4.42",
	"ORGANIZATIONIDENTIFIER": "2.5.4.97", "UID": "0.9.2342.19200300.100.1.1", "DC": "0.9.2342.19200300.100.1.25",
	"E": "1.2.840.113549.1.9.1", "EMAILADDRESS": "1.2.840.113549.1.9.1",
}

// dn is a distinguished name: its parts as they are written, so the last part
// of a certificate's name first. A part is one attribute, or a set of them.
type dn [][]attribute

type attribute struct{ oid, value string }

// is reports whether a name in a certificate is this one. Values are compared
// exactly: stricter than distinguishedNameMatch, and never wrong.
func (d dn) is(raw []byte) bool {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &name); err != nil || len(rest) > 0 || len(name) != len(d) {
		return false
	}
	slices.Reverse(name) // RFC 4514 section 2.1
	for i, part := range name {
		if len(part) != len(d[i]) {
			return false
		}
		missing := slices.Clone(d[i])
		for _, a := range part {
			value, ok := a.Value.(string)
			found := slices.Index(missing, attribute{a.Type.String(), value})
			if !ok || found < 0 {
				return false
			}
			missing = slices.Delete(missing, found, found+1)
		}
	}
	return len(name) > 0
}

// parseDN reads a name as RFC 4514 writes it: "CN=e-RS,O=Northmoor,C=GB".
func parseDN(text string) (dn, error) {
	var all dn
	var part []attribute
	for rest := text; ; {
		one, end, after, err := readAttribute(rest)
		if err != nil {
			return nil, err
		}
		if slices.Contains(part, one) {
			return nil, fmt.Errorf("%s is there twice", one.oid)
		}
		part = append(part, one)
		if end != '+' {
			all, part = append(all, part), nil
		}
		if end == 0 {
			return all, nil
		}
		rest = after
	}
}

// readAttribute reads "CN=e-RS" and what ends it: ',' or '+', or 0.
func readAttribute(text string) (one attribute, end byte, rest string, err error) {
	name, text, ok := strings.Cut(text, "=")
	name = strings.TrimSpace(name)
	if !ok {
		return one, 0, "", fmt.Errorf("%.32q is no attribute: write CN=name,O=organisation,C=GB", name)
	}
	if one.oid = attributes[strings.ToUpper(name)]; one.oid == "" {
		if !dotted(name) {
			return one, 0, "", fmt.Errorf("%.32q is no attribute of a name that is known: write its number instead, such as 2.5.4.3", name)
		}
		one.oid = name
	}
	var value strings.Builder
	text = strings.TrimLeft(text, " ")
	if strings.HasPrefix(text, "#") {
		return one, 0, "", errors.New("a value in hexadecimal is not read: write the text")
	}
	kept := 0 // up to where spaces are part of the value
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case ',', '+', ';':
			if c == ';' {
				c = ','
			}
			one.value = value.String()[:kept]
			return one, c, text[i+1:], one.check()
		case '\\':
			letter, size, err := unescape(text[i+1:])
			if err != nil {
				return one, 0, "", err
			}
			value.WriteByte(letter)
			kept = value.Len()
			i += size
		case '"', '<', '>', 0:
			return one, 0, "", fmt.Errorf("write \\ before %q", c)
		default:
			value.WriteByte(c)
			if c != ' ' {
				kept = value.Len()
			}
		}
	}
	one.value = value.String()[:kept]
	return one, 0, "", one.check()
}

func (a attribute) check() error {
	if a.value == "" || !utf8.ValidString(a.value) {
		return errors.New("a value is empty, or is no text")
	}
	return nil
}

// unescape reads what follows a backslash: a special character, or the two
// digits of a byte.
func unescape(text string) (letter byte, size int, err error) {
	if text != "" && strings.IndexByte(` "#+,;<=>\`, text[0]) >= 0 {
		return text[0], 1, nil
	}
	if len(text) >= 2 {
		if raw, err := hex.DecodeString(text[:2]); err == nil {
			return raw[0], 2, nil
		}
	}
	return 0, 0, errors.New(`after \ comes one of ,+"\<>;=# or a space, or two hexadecimal digits`)
}

// dotted reports whether name is the number of an attribute.
func dotted(name string) bool {
	for _, arc := range strings.Split(name, ".") {
		if arc == "" || strings.Trim(arc, "0123456789") != "" || arc != "0" && arc[0] == '0' {
			return false
		}
	}
	return strings.Contains(name, ".")
}
