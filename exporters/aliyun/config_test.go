package aliyun

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"watchkeeper/internal/strictyaml"
)

const goodConfig = `accounts:
- name: main
  regions: [cn-hangzhou, cn-beijing]
  products: [ecs]
  access_key_id: LTAIexample
  access_key_secret: s3cret
  interval: 5m
  overlap: 20m
  calls_per_second: 20
  tag_labels: {负责人: owner}
`

func decode(t *testing.T, text string) (Config, error) {
	t.Helper()
	cfg := DefaultConfig()
	_, err := strictyaml.Decode("x.yml", []byte(text), &cfg)
	return cfg, err
}

func TestGoodConfig(t *testing.T) {
	cfg, err := decode(t, goodConfig)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	a := cfg.Accounts[0]
	if a.AccessKeySecret.Reveal() != "s3cret" || time.Duration(a.Interval) != 5*time.Minute || a.TagLabels["负责人"] != "owner" {
		t.Errorf("decoded %+v", a)
	}
	if d := a.WithDefaults(); time.Duration(d.FillIn) != 3*time.Hour || d.Scheme != "https" || d.CallsPerMonth != 1_000_000 {
		t.Errorf("defaults %+v", d)
	}
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("no accounts: %v", err)
	}
}

func TestMistakesInTheConfigAreNamed(t *testing.T) {
	f := func(from, to, want string) {
		t.Helper()
		text := strings.Replace(goodConfig, from, to, 1)
		if text == goodConfig {
			t.Fatalf("%q is not in the file", from)
		}
		cfg, err := decode(t, text)
		if err == nil {
			err = cfg.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", to, err, want)
		}
	}
	f("name: main", "name: ''", "accounts[0].name")
	f("name: main", "name: a/b", "accounts[0].name")
	f("cn-beijing", "cn-hangzhou", "accounts[0].regions[1]")
	f("cn-beijing", "Beijing", "accounts[0].regions[1]")
	f("[cn-hangzhou, cn-beijing]", "[]", "accounts[0].regions")
	f("products: [ecs]", "products: [ecs, ecs]", "accounts[0].products[1]")
	f("access_key_id: LTAIexample", "access_key_id: ''", "accounts[0].access_key_id: set exactly one")
	f("access_key_secret: s3cret", "access_key_secret: s3cret\n  access_key_secret_env: X", "accounts[0].access_key_secret: set exactly one")
	f("interval: 5m", "interval: 1ms", "accounts[0].interval")
	f("interval: 5m", "interval: often", "interval")
	f("overlap: 20m", "overlap: 1m", "accounts[0].overlap")
	f("calls_per_second: 20", "calls_per_second: .nan", "accounts[0].calls_per_second")
	f("calls_per_second: 20", "calls_per_second: -1", "accounts[0].calls_per_second")
	f("calls_per_second: 20", "scheme: ftp", "accounts[0].scheme")
	f("calls_per_second: 20", "endpoint: nowhere", "accounts[0].endpoint")
	f("calls_per_second: 20", "calls_per_sec: 20", "calls_per_sec")
	f("owner", "instance", "accounts[0].tag_labels.负责人")
	f("tag_labels: {负责人: owner}", "scheme: https\n"+strings.TrimPrefix(goodConfig, "accounts:\n"), "accounts[1].name")
}

func TestUnknownProductNamesTheKnownOnes(t *testing.T) {
	cfg, err := decode(t, strings.Replace(goodConfig, "[ecs]", "[esc]", 1))
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(cfg, "acme", Deps{})
	if err == nil || !strings.Contains(err.Error(), "accounts[0].products[0]") || !strings.Contains(err.Error(), "kvstore") {
		t.Errorf("error %v", err)
	}
}

func TestCredentialsAreReadFromFilesAndAgainAfterRotation(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("TEST_ALIYUN_ID", "from-env")
	cfg := AccountConfig{AccessKeyIDEnv: "TEST_ALIYUN_ID", AccessKeySecretFile: write("secret", "one\n"), SecurityTokenFile: write("token", "t1\n")}
	synctest.Test(t, func(t *testing.T) {
		source := credentialSource(cfg)
		f := func(secret, token string) {
			t.Helper()
			c, err := source()
			if err != nil || c.AccessKeyID != "from-env" || c.AccessKeySecret.Reveal() != secret || c.SecurityToken.Reveal() != token {
				t.Errorf("credentials %q %q, error %v", c.AccessKeySecret.Reveal(), c.SecurityToken.Reveal(), err)
			}
		}
		f("one", "t1")
		write("secret", "two\n")
		write("token", "t2\n")
		time.Sleep(credentialLifetime)
		f("two", "t2")
	})
}

func TestBadCredentialFilesAreNamed(t *testing.T) {
	dir := t.TempDir()
	f := func(content, want string) {
		t.Helper()
		path := filepath.Join(dir, "secret")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := credentialSource(AccountConfig{AccessKeyID: "id", AccessKeySecretFile: path})()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.20q: error %v, want %q and the path", content, err, want)
		}
	}
	f("", "empty")
	f("two words", "blanks")
	f(strings.Repeat("x", maxSecretFile+1), "larger")
	if _, err := credentialSource(AccountConfig{AccessKeyID: "id", AccessKeySecretEnv: "TEST_ALIYUN_UNSET"})(); err == nil || !strings.Contains(err.Error(), "TEST_ALIYUN_UNSET") {
		t.Errorf("error %v", err)
	}
}
