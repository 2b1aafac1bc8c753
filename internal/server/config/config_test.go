package config_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/server/config"
)

// good is a whole configuration: every setting once.
const good = `
base_url: https://id.northmoor.nhs.uk
listen: 0.0.0.0:8443
metrics_listen: 127.0.0.1:9100
database: {url: "postgres://carekey@db/carekey", allow_asynchronous_standbys: true}
root_key_file: /etc/carekey/root.key
tls: {certificate_file: /etc/carekey/cert.pem, key_file: /etc/carekey/cert.key}
trusted_proxies: [10.1.2.3, 10.2.0.0/16]
operator: {name: Northmoor, service: Care Identity, service_desk: call 0300 000 0000, header_colour: "#003087", link_colour: "#005eb8"}
smtp: {host: mail.northmoor.nhs.uk, port: 25, user: carekey, password_file: /etc/carekey/smtp, from: no-reply@northmoor.nhs.uk, security: starttls}
terms_folder: /etc/carekey/terms
passwords: {memory_kib: 65536, time: 3, threads: 2, pool: 4, block_list_file: /etc/carekey/leaked}
sessions: {aal2_idle: 30m, aal2_total: 8h, aal3_idle: 10m, aal3_total: 10h}
throttle: {exempt_networks: [192.0.2.0/24]}
outgoing: {allow_networks: [10.0.0.0/8]}
signing: {rotate_every: 720h, publish_before: 2h, hsm_socket: /run/carekey-hsm/signing.sock}
authenticators: {per_type: 3}
passkey: {relying_parties: [ers], people: [RX901, "555000100101"]}
shared_computers: {networks: [10.3.0.0/16, 10.4.5.6]}
fido: {rp_id: northmoor.nhs.uk, origins: [https://id.northmoor.example], policy: {security_key: attested, windows_hello: listed, passkey: any}, models_allowed: [2FC0579F-8113-47ea-b116-bb5a8db9202a], models_refused: [c5ef55ff-ad9a-4b9f-b580-adebafe026d0], roots_file: /etc/carekey/keys.pem}
`

func environment(variables ...string) config.Environment {
	return func(name string) (string, bool) {
		for _, v := range variables {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
}

func load(t *testing.T, text string, variables ...string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "carekey.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(path, environment(variables...))
}

func TestEverySettingOfAFileArrives(t *testing.T) {
	got, err := load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		BaseURL: "https://id.northmoor.nhs.uk", Listen: "0.0.0.0:8443", MetricsListen: "127.0.0.1:9100",
		Database:       config.Database{URL: "postgres://carekey@db/carekey", AllowAsynchronousStandbys: true},
		RootKeyFile:    "/etc/carekey/root.key",
		TLS:            config.TLS{CertificateFile: "/etc/carekey/cert.pem", KeyFile: "/etc/carekey/cert.key"},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/32"), netip.MustParsePrefix("10.2.0.0/16")},
		Operator:       config.Operator{Name: "Northmoor", Service: "Care Identity", Desk: "call 0300 000 0000", HeaderColour: "#003087", LinkColour: "#005eb8"},
		SMTP:           config.SMTP{Host: "mail.northmoor.nhs.uk", Port: 25, User: "carekey", PasswordFile: "/etc/carekey/smtp", From: "no-reply@northmoor.nhs.uk", Security: "starttls"},
		TermsFolder:    "/etc/carekey/terms",
		Passwords:      config.Passwords{MemoryKiB: 65536, Time: 3, Threads: 2, Pool: 4, BlockListFile: "/etc/carekey/leaked"},
		Sessions:       config.Sessions{AAL2Idle: 30 * time.Minute, AAL2Total: 8 * time.Hour, AAL3Idle: 10 * time.Minute, AAL3Total: 10 * time.Hour},
		ThrottleExempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		OutgoingAllow:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Signing:        config.Signing{RotateEvery: 720 * time.Hour, PublishBefore: 2 * time.Hour, HSMSocket: "/run/carekey-hsm/signing.sock"},

		PerType: 3,
		FIDO: config.FIDO{
			RPID: "northmoor.nhs.uk", Origins: []string{"https://id.northmoor.nhs.uk", "https://id.northmoor.example"},
			Policies:      map[care.Method]fido.Policy{care.SecurityKey: fido.Attested, care.WindowsHello: fido.Listed, care.Passkey: fido.Any},
			ModelsAllowed: []string{"2fc0579f-8113-47ea-b116-bb5a8db9202a"}, ModelsRefused: []string{"c5ef55ff-ad9a-4b9f-b580-adebafe026d0"},
			RootsFile: "/etc/carekey/keys.pem",
		},
		Passkey:         config.Passkey{RelyingParties: []string{"ers"}, People: []string{"RX901", "555000100101"}},
		SharedComputers: []netip.Prefix{netip.MustParsePrefix("10.3.0.0/16"), netip.MustParsePrefix("10.4.5.6/32")},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestTheEnvironmentAloneIsEnoughAndSaysTheSame(t *testing.T) {
	fromFile, err := load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	fromEnvironment, err := config.Load("", environment(
		"CAREKEY_BASE_URL=https://id.northmoor.nhs.uk", "CAREKEY_LISTEN=0.0.0.0:8443", "CAREKEY_METRICS_LISTEN=127.0.0.1:9100",
		"CAREKEY_DATABASE_URL=postgres://carekey@db/carekey", "CAREKEY_DATABASE_ALLOW_ASYNCHRONOUS_STANDBYS=true",
		"CAREKEY_ROOT_KEY_FILE=/etc/carekey/root.key",
		"CAREKEY_TLS_CERTIFICATE_FILE=/etc/carekey/cert.pem", "CAREKEY_TLS_KEY_FILE=/etc/carekey/cert.key",
		"CAREKEY_TRUSTED_PROXIES=10.1.2.3,10.2.0.0/16",
		"CAREKEY_OPERATOR_NAME=Northmoor", "CAREKEY_OPERATOR_SERVICE=Care Identity", "CAREKEY_OPERATOR_SERVICE_DESK=call 0300 000 0000",
		"CAREKEY_OPERATOR_HEADER_COLOUR=#003087", "CAREKEY_OPERATOR_LINK_COLOUR=#005eb8",
		"CAREKEY_SMTP_HOST=mail.northmoor.nhs.uk", "CAREKEY_SMTP_PORT=25", "CAREKEY_SMTP_USER=carekey",
		"CAREKEY_SMTP_PASSWORD_FILE=/etc/carekey/smtp", "CAREKEY_SMTP_FROM=no-reply@northmoor.nhs.uk", "CAREKEY_SMTP_SECURITY=starttls",
		"CAREKEY_TERMS_FOLDER=/etc/carekey/terms",
		"CAREKEY_PASSWORDS_MEMORY_KIB=65536", "CAREKEY_PASSWORDS_TIME=3", "CAREKEY_PASSWORDS_THREADS=2", "CAREKEY_PASSWORDS_POOL=4",
		"CAREKEY_PASSWORDS_BLOCK_LIST_FILE=/etc/carekey/leaked",
		"CAREKEY_SESSIONS_AAL2_IDLE=30m", "CAREKEY_SESSIONS_AAL2_TOTAL=8h", "CAREKEY_SESSIONS_AAL3_IDLE=10m", "CAREKEY_SESSIONS_AAL3_TOTAL=10h",
		"CAREKEY_THROTTLE_EXEMPT_NETWORKS=192.0.2.0/24", "CAREKEY_SIGNING_ROTATE_EVERY=720h", "CAREKEY_SIGNING_PUBLISH_BEFORE=2h", "CAREKEY_SIGNING_HSM_SOCKET=/run/carekey-hsm/signing.sock", "CAREKEY_OUTGOING_ALLOW_NETWORKS=10.0.0.0/8",
		"CAREKEY_AUTHENTICATORS_PER_TYPE=3", "CAREKEY_FIDO_RP_ID=northmoor.nhs.uk", "CAREKEY_FIDO_ORIGINS=https://id.northmoor.example",
		"CAREKEY_FIDO_POLICY_SECURITY_KEY=attested", "CAREKEY_FIDO_POLICY_WINDOWS_HELLO=listed", "CAREKEY_FIDO_POLICY_PASSKEY=any",
		"CAREKEY_FIDO_MODELS_ALLOWED=2FC0579F-8113-47ea-b116-bb5a8db9202a", "CAREKEY_FIDO_MODELS_REFUSED=c5ef55ff-ad9a-4b9f-b580-adebafe026d0", "CAREKEY_FIDO_ROOTS_FILE=/etc/carekey/keys.pem",
		"CAREKEY_PASSKEY_RELYING_PARTIES=ers", "CAREKEY_PASSKEY_PEOPLE=RX901,555000100101", "CAREKEY_SHARED_COMPUTERS_NETWORKS=10.3.0.0/16,10.4.5.6",
	))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromFile, fromEnvironment, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("(-file +environment):\n%s", diff)
	}
}

func TestTheEnvironmentWinsOverTheFile(t *testing.T) {
	c, err := load(t, good, "CAREKEY_LISTEN=127.0.0.1:9443")
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:9443" {
		t.Errorf("Listen = %q", c.Listen)
	}
}

func TestAFewSettingsAreEnough(t *testing.T) {
	c, err := load(t, `
base_url: http://localhost:8080
database: {url: "sqlite:/var/lib/carekey/carekey.db"}
root_key_file: /etc/carekey/root.key
smtp: {host: localhost, from: no-reply@northmoor.nhs.uk}
`)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:8080" || c.Passwords.MemoryKiB != 19456 || c.Passwords.Time != 2 || c.Passwords.Pool < 1 || c.SMTP.Security != "starttls" {
		t.Errorf("defaults: %+v", c)
	}
}

func TestEachMistakeIsOneLineThatSaysWhatToMend(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown":             {"terms_folder:", "term_folder:", `:11: unknown field "term_folder"`},
		"missing":             {"base_url: https://id.northmoor.nhs.uk\n", "", `: base_url: is missing`},
		"path":                {"id.northmoor.nhs.uk\n", "id.northmoor.nhs.uk/cim\n", `:2: base_url: looks like https://id.example.nhs.uk, without a path`},
		"plain http":          {"base_url: https:", "base_url: http:", `:2: base_url: begins with https:// unless people reach it on this machine alone`},
		"listen":              {"listen: 0.0.0.0:8443", "listen: 8443", `:3: listen: an address looks like 127.0.0.1:8080, not "8443"`},
		"key without cert":    {"certificate_file: /etc/carekey/cert.pem, ", "", `:7: tls: needs certificate_file and key_file`},
		"proxy":               {"10.2.0.0/16", "10.2.0.0/64", `:8: trusted_proxies: "10.2.0.0/64" is no network: write 10.1.0.0/16 or 10.1.2.3`},
		"colour":              {`"#005eb8"`, `"#ffff00"`, `:9: operator: `},
		"security":            {"security: starttls", "security: ssl", `:10: smtp.security: is starttls, tls or none, not "ssl"`},
		"codes in the clear":  {"security: starttls", "security: none", `:10: smtp.security: none is for a mail server on this machine only: codes would cross the network in the clear`},
		"password file":       {"password_file: /etc/carekey/smtp, ", "", `:10: smtp: user and password_file go together`},
		"from":                {"from: no-reply@northmoor.nhs.uk", "from: nobody", `:10: smtp.from: looks like no-reply@example.nhs.uk`},
		"cheap":               {"memory_kib: 65536", "memory_kib: 1024", `:12: passwords: 1024 KiB and 3 passes are too cheap: the least are 19456 KiB and 2 passes, or 7168 KiB and 5`},
		"long session N2":     {"aal2_idle: 30m", "aal2_idle: 61m", `:13: sessions.aal2_idle: 61m is more than the 1h0m0s that NIST SP 800-63B-4 advises`},
		"long session N3":     {"aal3_total: 10h", "aal3_total: 13h", `:13: sessions.aal3_total: 13h is more than the 12h0m0s that NIST SP 800-63B-4 advises`},
		"no time":             {"aal2_idle: 30m", "aal2_idle: thirty", `:13: sessions.aal2_idle: a time looks like 45m or 8h, not "thirty"`},
		"stale sets":          {"publish_before: 2h", "publish_before: 14m", `:16: signing.publish_before: 14m0s is too short: relying parties keep the old set of keys for minutes, so 15m0s is the least`},
		"hurried rotation":    {"rotate_every: 720h", "rotate_every: 3h", `:16: signing.rotate_every: 3h0m0s is too short: twice signing.publish_before (2h0m0s) is the least`},
		"late rotation":       {"rotate_every: 720h", "rotate_every: 20000h", `:16: signing.rotate_every: 20000h0m0s is too long: two years (17520h0m0s) are the most`},
		"socket":              {"hsm_socket: /run/", "hsm_socket: run/", `:16: signing.hsm_socket: a socket looks like /run/carekey-hsm/signing.sock, not "run/carekey-hsm/signing.sock"`},
		"no days":             {"rotate_every: 720h", "rotate_every: 30d", `:16: signing.rotate_every: a time looks like 15m or 2160h, not "30d"`},
		"too many of a type":  {"per_type: 3", "per_type: 11", `:17: authenticators.per_type: is a number from 1 to 10`},
		"a name for a cohort": {"[RX901,", "[rx901,", `:18: passkey.people: "rx901" is none of a UID, an ODS code in capitals, and all`},
		"database":            {"postgres://carekey@db", "mysql://carekey:secret@db", `:5: database.url: begins with sqlite: or postgres://`},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(good, c.old, c.new, 1)
			if text == good {
				t.Fatal("the test changes nothing")
			}
			_, err := load(t, text)
			if err == nil {
				t.Fatal("no mistake was found")
			}
			_, rest, _ := strings.Cut(err.Error(), "carekey.yaml")
			if !strings.HasPrefix(rest, c.want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %v\nwant …%s", err, c.want)
			}
		})
	}
}

func TestPlainHTTPForEverybodyIsRefusedDecision14(t *testing.T) {
	text := strings.Replace(good, "tls: {certificate_file: /etc/carekey/cert.pem, key_file: /etc/carekey/cert.key}\n", "", 1)
	if _, err := load(t, text); err != nil {
		t.Errorf("behind a named proxy: %v", err)
	}
	text = strings.Replace(text, "trusted_proxies: [10.1.2.3, 10.2.0.0/16]\n", "", 1)
	if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), "listen: 0.0.0.0:8443 would be plain http for everybody") {
		t.Errorf("without one: %v", err)
	}
	if _, err := load(t, strings.Replace(text, "0.0.0.0", "127.0.0.1", 1)); err != nil {
		t.Errorf("on loopback: %v", err)
	}
}

func TestAMistakeInTheEnvironmentNamesItsVariable(t *testing.T) {
	_, err := load(t, good, "CAREKEY_SMTP_PORT=many", "CAREKEY_SESSIONS_AAL2_IDLE=2h")
	if err == nil {
		t.Fatal("no mistake was found")
	}
	want := []string{
		`CAREKEY_SMTP_PORT: a number is wanted, not "many"`,
		`CAREKEY_SESSIONS_AAL2_IDLE: 2h is more than the 1h0m0s that NIST SP 800-63B-4 advises`,
	}
	if got := strings.Split(err.Error(), "\n"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDevModeNeedsNothing(t *testing.T) {
	for _, c := range []struct {
		demo config.Demo
		url  string
	}{
		{config.Demo{Listen: "localhost:8080", DataDir: "data"}, "http://localhost:8080"},
		{config.Demo{Listen: "127.0.0.1:8081", DataDir: "data"}, "http://127.0.0.1:8081"},
		{config.Demo{Listen: ":8080", DataDir: "data", TLS: true}, "https://localhost:8080"},
	} {
		got, err := config.Dev(c.demo, environment("CAREKEY_SMTP_HOST=127.0.0.1", "CAREKEY_SMTP_PORT=2525"))
		if err != nil {
			t.Fatalf("%+v: %v", c.demo, err)
		}
		if got.BaseURL != c.url || !got.Dev || got.SMTP.Port != 2525 || got.Database.URL != "sqlite:data/carekey.db" ||
			!slices.Equal(got.Passkey.People, []string{"all"}) || !slices.Equal(got.Passkey.RelyingParties, []string{"all"}) {
			t.Errorf("%+v: %+v", c.demo, got)
		}
	}
}

func TestDevModeStaysOnThisMachineWithoutTLS(t *testing.T) {
	if _, err := config.Dev(config.Demo{Listen: "0.0.0.0:8080", DataDir: "data"}, environment()); err == nil {
		t.Error("plain http for everybody was accepted")
	}
}
