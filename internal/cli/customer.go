package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"watchkeeper/exporters/aliyun"
)

func newCustomer() *cobra.Command {
	c := &cobra.Command{
		Use:   "customer",
		Short: "Take customers on",
	}
	c.AddCommand(newCustomerAdd())
	return c
}

// customerFlags are what 'customer add' is told.
type customerFlags struct {
	config  string
	account string
	dryRun  bool
	format  format

	keyID, secretFile, secretEnv string
	secretStdin                  bool
	saveSecret                   string
	ecsRole, roleARN, externalID string
	regions                      []string
	scheme, endpoint             string
	rate                         float64
}

func newCustomerAdd() *cobra.Command {
	var f customerFlags
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Take a customer's Alibaba Cloud account on",
		Long: `Checks the AccessKey, finds out which readings it may make and prints the RAM policy
that is missing, finds the regions and products in use, prints what will be collected
and what it costs, and adds the customer to the configuration file. Nothing else in the
file changes. Nothing is written with --dry-run, when the file has the customer already,
or when CloudMonitor may not be read.

The secret is read from a file, the environment or standard input, never from the
command line. The configuration names the file or the variable; a secret from standard
input is saved in a file.

Exit codes: 0 added (or would be, with --dry-run), 1 the key is of no use, 2 wrong usage or
configuration, or the account could not be asked.`,
		Example: `  watchkeeper sim aliyun &
  echo testsecret | watchkeeper customer add acme --access-key-id testid --access-key-secret-stdin \
    --scheme http --endpoint 127.0.0.1:9374 --config watchkeeper.yml
  watchkeeper customer add acme --access-key-id LTAI… --access-key-secret-file acme.key --config watchkeeper.yml --dry-run`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return addCustomer(cmd, args[0], f) },
	}
	f.format.flag(c)
	flags := c.Flags()
	flags.StringVar(&f.config, "config", "", "configuration file; made when there is none")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print everything, write nothing")
	flags.StringVar(&f.account, "account", "main", "our name of the account")
	flags.StringVar(&f.keyID, "access-key-id", "", "AccessKey id of a RAM user with read-only permissions")
	flags.StringVar(&f.secretFile, "access-key-secret-file", "", "file that holds the secret")
	flags.StringVar(&f.secretEnv, "access-key-secret-env", "", "environment variable that holds the secret")
	flags.BoolVar(&f.secretStdin, "access-key-secret-stdin", false, "read the secret from standard input")
	flags.StringVar(&f.saveSecret, "save-secret", "", "new file for a secret from standard input (default NAME-ACCOUNT.secret beside the configuration)")
	flags.StringVar(&f.ecsRole, "ecs-role", "", "RAM role of the ECS instance that the server runs on, instead of an AccessKey")
	flags.StringVar(&f.roleARN, "role-arn", "", "RAM role to assume with the AccessKey or the ECS role")
	flags.StringVar(&f.externalID, "role-external-id", "", "what the role's trust policy asks for")
	flags.StringSliceVar(&f.regions, "regions", nil, "regions to look at (default all that the account may use)")
	flags.StringVar(&f.scheme, "scheme", "", "https, or http for a simulator (default https)")
	flags.StringVar(&f.endpoint, "endpoint", "", "host:port to dial instead of the service's hosts")
	flags.Float64Var(&f.rate, "calls-per-second", 0, "calls per second of one API while looking (default 20)")
	if err := c.MarkFlagRequired("config"); err != nil {
		panic("BUG: " + err.Error())
	}
	c.MarkFlagsMutuallyExclusive("access-key-secret-file", "access-key-secret-env", "access-key-secret-stdin", "ecs-role")
	c.MarkFlagsMutuallyExclusive("access-key-id", "ecs-role")
	return c
}

// accountConfig is the account as the flags say, and the secret that standard input gave.
func (f *customerFlags) accountConfig(in io.Reader) (cfg aliyun.AccountConfig, secret string, err error) {
	cfg = aliyun.AccountConfig{
		Name: f.account, Regions: f.regions, AccessKeyID: f.keyID, AccessKeySecretFile: f.secretFile, AccessKeySecretEnv: f.secretEnv,
		ECSRole: f.ecsRole, RoleARN: f.roleARN, RoleExternalID: f.externalID, Scheme: f.scheme, Endpoint: f.endpoint, CallsPerSecond: f.rate,
	}
	if len(cfg.Regions) == 0 {
		cfg.Regions = []string{"cn-hangzhou"} // knows of all others
	}
	switch {
	case f.ecsRole == "" && f.keyID == "":
		return cfg, "", fmt.Errorf("--access-key-id or --ecs-role is needed")
	case f.saveSecret != "" && !f.secretStdin:
		return cfg, "", fmt.Errorf("--save-secret is for --access-key-secret-stdin")
	case f.secretStdin:
		if secret, err = readLine(in); err != nil {
			return cfg, "", fmt.Errorf("--access-key-secret-stdin: %w", err)
		}
		cfg.AccessKeySecret = aliyun.NewSecret(secret)
	case f.ecsRole == "" && f.secretFile == "" && f.secretEnv == "":
		return cfg, "", fmt.Errorf("give the secret by --access-key-secret-file, --access-key-secret-env or --access-key-secret-stdin")
	}
	if err := (aliyun.Config{Accounts: []aliyun.AccountConfig{cfg}}).Validate(); err != nil {
		return cfg, "", err
	}
	return cfg, secret, nil
}

// readLine reads a secret, at most 4 KiB, without its line end.
func readLine(in io.Reader) (string, error) {
	const most = 4 << 10
	b, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return "", err
	}
	line := strings.TrimSpace(string(b))
	if line == "" || len(b) > most || strings.ContainsAny(line, " \t\r\n\x00") {
		return "", errors.New("want one line without blanks")
	}
	return line, nil
}

// relativeTo writes a path as the configuration file should name it: relative to
// its folder if it lies in there.
func relativeTo(config, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	folder, err := filepath.Abs(filepath.Dir(config))
	if err != nil {
		return "", err
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if inside, err := filepath.Rel(folder, full); err == nil && filepath.IsLocal(inside) {
		return filepath.ToSlash(inside), nil
	}
	return full, nil
}

// replaceFile writes a file as a whole: whoever reads it sees the old content or
// the new one, also after a crash.
func replaceFile(name string, content []byte) error {
	mode := os.FileMode(0o600)
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target // the link stays
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		mode = info.Mode().Perm()
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails after the rename, as it should
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return os.Rename(tmp.Name(), name)
}

// newFile writes a file that must not exist yet, for this user alone.
func newFile(name, content string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}
