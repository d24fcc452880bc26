package aliyun

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/prometheus/common/model"
)

// Bounds of a temporary key's life; the service's own.
const (
	minRoleDuration = 15 * time.Minute
	maxRoleDuration = 12 * time.Hour
)

var (
	rolePattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$`)
	roleARNPattern  = regexp.MustCompile(`^acs:ram::\d+:role/[A-Za-z0-9.-]{1,64}$`)
	sessionPattern  = regexp.MustCompile(`^[A-Za-z0-9.@_-]{2,64}$`)
	externalPattern = regexp.MustCompile(`^[A-Za-z0-9=,.@:/_-]{2,256}$`)
)

// validateECSRole: the metadata service gives the key, nobody else.
func (a AccountConfig) validateECSRole() error {
	if !rolePattern.MatchString(a.ECSRole) {
		return fmt.Errorf("ecs_role: %q is no name of a RAM role", a.ECSRole)
	}
	for _, set := range []string{
		a.AccessKeyID, a.AccessKeyIDFile, a.AccessKeyIDEnv,
		a.AccessKeySecret.Reveal(), a.AccessKeySecretFile, a.AccessKeySecretEnv, a.SecurityTokenFile,
	} {
		if set != "" {
			return errors.New("ecs_role: is set beside an AccessKey; give one of them")
		}
	}
	return nil
}

func (a AccountConfig) validateRole() error {
	if a.RoleARN == "" {
		if a.RoleExternalID != "" {
			return errors.New("role_external_id: is set without role_arn")
		}
		return nil
	}
	switch d := time.Duration(a.RoleDuration); {
	case !roleARNPattern.MatchString(a.RoleARN):
		return fmt.Errorf("role_arn: %q: want acs:ram::ACCOUNT:role/NAME", a.RoleARN)
	case !sessionPattern.MatchString(a.RoleSessionName):
		return fmt.Errorf("role_session_name: %q: want 2 to 64 letters, digits and . @ - _", a.RoleSessionName)
	case a.RoleExternalID != "" && !externalPattern.MatchString(a.RoleExternalID):
		return errors.New("role_external_id: has characters that the service does not take")
	case d < minRoleDuration || d > maxRoleDuration:
		return fmt.Errorf("role_duration: %s: want %s to %s", a.RoleDuration, model.Duration(minRoleDuration), model.Duration(maxRoleDuration))
	}
	return nil
}
