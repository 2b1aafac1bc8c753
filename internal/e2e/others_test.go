package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/porttest"
)

// party returns what a relying party of others registers, with its home.
func party(name, home string, callbacks ...string) map[string]any {
	var redirects []string
	for _, path := range callbacks {
		redirects = append(redirects, home+path)
	}
	return map[string]any{
		"client_id": name + ".others", "name": name, "default_acr": "AAL2_OR_AAL3_ANY",
		"redirect_uris": redirects, "post_logout_redirect_uris": []string{home + "/"},
	}
}

// localhost is the address of a new port on this machine.
func localhost(t *testing.T) (address, port string) {
	t.Helper()
	port = strconv.Itoa(porttest.Port(t))
	return "http://localhost:" + port, port
}

// TestGoLibrariesWorkUnchanged signs in with coreos/go-oidc and markbates/goth,
// which live in a module of their own.
func TestGoLibrariesWorkUnchanged(t *testing.T) {
	o := newTown(t, "")
	home, port := localhost(t)
	secrets := o.register(party("goparty", home, "/callback/go-oidc", "/callback/goth"))
	program := filepath.Join(t.TempDir(), "goparty")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join("thirdparty", "goparty")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	run := exec.Command(program, "-issuer", o.issuer(), "-listen", "localhost:"+port, "-client", "goparty.others", "-secret", secrets["goparty.others"])
	run.Env = append(run.Environ(), o.trusted()...)
	ready(t, launchServer(t, run), home+"/ready")
	for _, library := range []string{"go-oidc", "goth"} {
		res, body := o.visit(home + "/login/" + library)
		got := fields(t, body)
		if res.StatusCode != http.StatusOK || got["sub"] != o.worker.uid || got["userinfo"] != o.worker.uid || got["email"] != o.worker.email {
			t.Errorf("%s: %d %s", library, res.StatusCode, body)
		}
	}
}

// TestNextJSWithAuthJSWorksUnchanged builds a Next.js service and signs in to
// it with the provider that NHS services write for CIS2.
func TestNextJSWithAuthJSWorksUnchanged(t *testing.T) {
	o := newTown(t, "")
	home, port := localhost(t)
	const callback = "/api/auth/callback/nhs-cis2"
	secrets := o.register(party("nextjs", home, callback))
	folder := npm(t, "nextjs")
	next := func(args ...string) *exec.Cmd {
		cmd := exec.Command("node", append([]string{filepath.Join(folder, "node_modules/next/dist/bin/next")}, args...)...)
		cmd.Dir = folder
		cmd.Env = append(cmd.Environ(), "NEXT_TELEMETRY_DISABLED=1", "NEXTAUTH_URL="+home, "NEXTAUTH_SECRET=only-for-tests",
			"AUTH_CIS2_ISSUER_URL="+o.issuer(), "AUTH_CIS2_CLIENT_ID=nextjs.others", "AUTH_CIS2_CLIENT_SECRET="+secrets["nextjs.others"])
		cmd.Env = append(cmd.Env, o.trusted()...)
		return cmd
	}
	if out, err := next("build").CombinedOutput(); err != nil {
		t.Fatalf("next build: %v\n%s", err, out)
	}
	ready(t, launchServer(t, next("start", "--port", port, "--hostname", "localhost")), home+"/")

	_, body := o.visit(home + "/api/auth/csrf")
	begin := url.Values{"csrfToken": {fields(t, body)["csrfToken"].(string)}, "callbackUrl": {home + "/"}}
	res, err := o.client.PostForm(home+"/api/auth/signin/nhs-cis2", begin)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.Request.URL.String() != home+"/" {
		t.Fatalf("the sign-in ended at %s", res.Request.URL)
	}
	_, body = o.visit(home + "/api/auth/session")
	session := fields(t, body)
	if session["sub"] != o.worker.uid || in(session, "user", "email") != o.worker.email ||
		session["roles"] == nil || session["level"] != "2" || session["role"] == nil {
		t.Errorf("the session is %s", body)
	}
}

// apache is Debian's Apache with mod_auth_openidc before one page.
const apache = `
ServerRoot %[1]s
ServerName localhost:%[2]s
Listen localhost:%[2]s
PidFile %[1]s/pid
ErrorLog /dev/stderr
LogLevel warn auth_openidc:info
DocumentRoot %[1]s/pages
User www-data
Group www-data
Mutex sem
LoadModule mpm_event_module %[3]s/mod_mpm_event.so
LoadModule authn_core_module %[3]s/mod_authn_core.so
LoadModule authz_core_module %[3]s/mod_authz_core.so
LoadModule authz_user_module %[3]s/mod_authz_user.so
LoadModule dir_module %[3]s/mod_dir.so
LoadModule auth_openidc_module %[3]s/mod_auth_openidc.so
OIDCProviderMetadataURL %[4]s/.well-known/openid-configuration
OIDCCABundlePath %[5]s
OIDCClientID apache.others
OIDCClientSecret %[6]s
OIDCRedirectURI http://localhost:%[2]s/protected/oidc
OIDCCryptoPassphrase only-for-tests
OIDCScope "openid profile email"
OIDCRemoteUserClaim sub
OIDCPKCEMethod S256
OIDCSessionType server-cache
OIDCInfoHook userinfo id_token
<Location /protected>
	AuthType openid-connect
	Require valid-user
</Location>
`

// TestApacheWorksUnchanged signs in with Debian's mod_auth_openidc, and has it
// told of the sign-out.
func TestApacheWorksUnchanged(t *testing.T) {
	o := newTown(t, "")
	home, port := localhost(t)
	registration := party("apache", home, "/protected/oidc")
	registration["backchannel_logout_uri"] = home + "/protected/oidc?logout=backchannel"
	secrets := o.register(registration)
	folder := publicFolder(t, map[string]string{"pages/protected/index.html": "behind Apache", "pages/index.html": "Apache"})
	config := filepath.Join(folder, "apache.conf")
	writeFile(t, config, fmt.Sprintf(apache, folder, port, "/usr/lib/apache2/modules", o.issuer(), o.publicAuthority(folder), secrets["apache.others"]))
	ready(t, launchServer(t, exec.Command("apache2", "-X", "-f", config)), home+"/")

	res, body := o.visit(home + "/protected/")
	if res.StatusCode != http.StatusOK || !strings.Contains(body, "behind Apache") {
		t.Fatalf("%s: %d %s", res.Request.URL, res.StatusCode, body)
	}
	_, body = o.visit(home + "/protected/oidc?info=json")
	if info := fields(t, body); in(info, "userinfo", "email") != o.worker.email || in(info, "id_token", "sub") != o.worker.uid {
		t.Errorf("Apache knows %s", body)
	}

	// Signing out at Carekey reaches Apache by back-channel.
	o.person.Get("/cim/").Submit("/signout", nil)
	eventually(t, "Apache is told that the session is over", func() bool {
		res, _ := o.visit(home + "/protected/oidc?info=json")
		return res.StatusCode == http.StatusUnauthorized
	})
}
