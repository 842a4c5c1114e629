package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	listed  = "files"        // in a tree: the size and name of each file in it
	recent  = 24 * time.Hour // so old may the last look at all of them be: cleaners remove what nobody used for days
	noexec  = 0x8            // ST_NOEXEC, of statfs
	forbids = ":;$"          // what means something in a list of library folders; see python3.c
)

var errForeign = errors.New("somebody else may write there")

// unpacked is the folder of the tree, which is there afterwards.
func unpacked(it about, packed *payload, stop stopping) (string, error) {
	for _, root := range roots() { // one that has it is better than the best one, which may be full
		folder := filepath.Join(root, it.Name)
		tree := filepath.Join(folder, it.folder())
		if trusted(root, folder) && usable(folder) == nil && whole(tree, it) {
			return tree, nil
		}
	}
	var problems []string
	for _, root := range roots() {
		folder := filepath.Join(root, it.Name)
		tree, err := unpackedAt(root, folder, it, packed, stop)
		if err == nil || errors.As(err, new(interrupted)) || errors.Is(err, errDamaged) {
			return tree, err
		}
		problems = append(problems, folder+": "+because(err))
	}
	const cure = "set XDG_CACHE_HOME to a folder of your own with 300 MB of room, where programs may run"
	return "", fmt.Errorf("can't unpack itself: %s; %s", strings.Join(problems, "; "), cure)
}

func unpackedAt(root, folder string, it about, packed *payload, stop stopping) (string, error) {
	if os.Getuid() == 0 && !owned(existing(folder)) {
		return "", errors.New("it would be in somebody else's folder")
	}
	if slices.Contains(everybodys(), root) { // where somebody else may have put a link to a folder of ours
		if err := os.Mkdir(root, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return "", err
		}
		if !ours(root) {
			return "", errForeign
		}
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	if !trusted(root, folder) {
		return "", errForeign
	}
	if err := usable(folder); err != nil {
		return "", err
	}
	removeUnused(folder) // makes room
	return filepath.Join(folder, it.folder()), provide(it, packed, folder, stop, func() error { return nil })
}

// because is what an error says without the path, which may be that of any of some thousand files.
func because(err error) string {
	var number syscall.Errno
	if errors.As(err, &number) {
		return number.Error()
	}
	return err.Error()
}

// roots are the folders that may hold trees, the best first.
func roots() []string {
	var found []string
	if root := os.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(root) {
		found = append(found, filepath.Join(root, "batchwasm"))
	} else if home := home(); filepath.IsAbs(home) {
		found = append(found, filepath.Join(home, ".cache", "batchwasm"))
	}
	for _, folder := range everybodys() {
		if !slices.Contains(found, folder) {
			found = append(found, folder)
		}
	}
	return found
}

// everybodys are the last resort, in folders where everybody may make one of that name.
func everybodys() []string {
	name := fmt.Sprintf("batchwasm-%d", os.Getuid())
	return []string{filepath.Join(os.TempDir(), name), filepath.Join("/tmp", name), filepath.Join("/var/tmp", name)}
}

func home() string {
	if home := os.Getenv("HOME"); home != "" {
		return home
	}
	if me, err := user.Current(); err == nil {
		return me.HomeDir
	}
	return ""
}

// trusted: nobody but this user, or root, can have put something into the folder of trees.
func trusted(root, folder string) bool {
	return ours(folder) && owned(root) && (!slices.Contains(everybodys(), root) || ours(root))
}

// ours: a folder that nobody but this user, or root, can have put something into; /tmp is everybody's.
func ours(folder string) bool {
	info, err := os.Lstat(folder)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o022 != 0 {
		return false
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	return owner == 0 || int(owner) == os.Getuid()
}

// owned: nobody but this user, or root, can put another folder in its place in it, unless it lets others write.
func owned(folder string) bool {
	info, err := os.Stat(folder)
	if err != nil {
		return false
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	return owner == 0 || int(owner) == os.Getuid()
}

// existing is the folder, or the nearest one above it that is there.
func existing(folder string) string {
	for ; folder != "/" && !exists(folder); folder = filepath.Dir(folder) {
	}
	return folder
}

// usable: programs run from there. Asked before 160 MB are written.
func usable(folder string) error {
	if at := strings.IndexAny(folder, forbids); at >= 0 {
		return fmt.Errorf("nothing can run in a folder with '%c' in its name", folder[at])
	}
	var about syscall.Statfs_t
	if syscall.Statfs(folder, &about) == nil && about.Flags&noexec != 0 {
		return errors.New("no program may run from there (it is mounted noexec)")
	}
	return nil
}

// whole: a tree of ours with all its files. It was on the disk before it got its name, so what can be missing is what
// somebody removed: all files are looked at once a day and after a boot, which takes 20 ms here and a second over NFS.
func whole(tree string, it about) bool {
	if !stands(tree, it) {
		return false
	}
	info, err := os.Stat(tree)
	if err != nil || !due(info.ModTime()) {
		return err == nil
	}
	if !complete(tree) {
		return false
	}
	now := time.Now()
	os.Chtimes(tree, now, now) // a read-only home is no reason to stop
	tidy(filepath.Dir(tree), false)
	removeUnused(filepath.Dir(tree))
	return true
}

// stands: a tree of ours with its program in it.
func stands(tree string, it about) bool {
	info, err := os.Stat(filepath.Join(tree, it.Run))
	return err == nil && info.Size() > 0 && ours(tree)
}

func due(last time.Time) bool {
	age := time.Since(last)
	var system syscall.Sysinfo_t
	booted := syscall.Sysinfo(&system) == nil && age > time.Duration(system.Uptime)*time.Second
	return age > recent || booted
}

// complete: each file is there in its size.
func complete(tree string) bool {
	list, err := os.Open(filepath.Join(tree, listed))
	if err != nil {
		return false
	}
	defer list.Close()
	lines, count := bufio.NewScanner(list), 0
	for lines.Scan() {
		var size int64
		text, name, _ := strings.Cut(lines.Text(), " ")
		if _, err := fmt.Sscan(text, &size); err != nil {
			return false
		}
		info, err := os.Lstat(filepath.Join(tree, name))
		if err != nil || info.Mode()&fs.ModeType == 0 && info.Size() != size {
			return false
		}
		count++
	}
	return lines.Err() == nil && count > 0
}
