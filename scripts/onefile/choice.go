package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const versions = "versions"

// unpackTo puts the tree into a folder of one's choice, where all may start it.
//
// The folder holds `versions`, in which trees are as in a cache, and `bin` with a link to the program in the newest.
// What runs goes on with the tree that it was started from, a detached scheduler for days: its modules are loaded as
// they are needed, by names that must stay. A tree goes when a later one is unpacked and no program of it runs.
func unpackTo(it about, packed *payload, folder string, stop stopping) error {
	if folder == "" { // an unset variable's, which would be the folder that one is in
		return errNoFolder
	}
	syscall.Umask(0o022)
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	if err := usable(folder); err != nil {
		return fmt.Errorf("%s: %w", folder, err)
	}
	if err := replaceable(folder, it); err != nil {
		return err
	}
	trees := filepath.Join(folder, versions)
	isNew, isFirst := !exists(folder), !exists(trees)
	if err := os.MkdirAll(trees, 0o755); err != nil {
		return err
	}
	if err = usable(trees); err != nil {
		err = fmt.Errorf("%s: %w", folder, err)
	} else {
		err = provide(it, packed, trees, stop, func() error { return choose(it, folder) })
	}
	if err != nil && isFirst {
		os.Remove(filepath.Join(trees, "lock"))
		os.Remove(trees) // unless another one unpacks there
		if isNew {
			os.Remove(folder)
		}
	}
	return err
}

// choose lets the program of this version be the one that is started.
func choose(it about, folder string) error {
	if err := replaceable(folder, it); err != nil { // as somebody made it since
		return err
	}
	link := filepath.Join(folder, "bin", filepath.Base(it.Run))
	dropScratch(link, it)
	if err := point(link, filepath.Join("..", versions, it.folder(), it.Run)); err != nil {
		return err
	}
	dropOthers(filepath.Join(folder, versions, it.folder()))
	if terminal(os.Stderr) {
		say("the command is %s", link)
	}
	return nil
}

// replaceable: no folder yet, or one with what --unpack-to makes and nothing else. A ~/.local has a bin/batchwasm, too, and
// what other programs keep several of they keep in a folder named versions.
func replaceable(folder string, it about) error {
	inside := func(name string) string { return filepath.Join(folder, name) }
	outer := func(entry os.DirEntry) bool {
		return entry.IsDir() && (entry.Name() == versions || entry.Name() == "bin")
	}
	tree := func(entry os.DirEntry) bool {
		_, known := kindOf(entry.Name())
		return known && entry.IsDir() || entry.Name() == "lock" && entry.Type().IsRegular()
	}
	link := func(entry os.DirEntry) bool {
		path := inside("bin/" + entry.Name())
		return isLink(path, it) || !exists(path) // another one's that just got its name
	}
	if !exists(folder) || allOf(folder, outer) && allOf(inside(versions), tree) && allOf(inside("bin"), link) {
		return nil
	}
	return fmt.Errorf("%s is there, and not what --unpack-to makes: name another folder, or move it away", folder)
}

// allOf: the folder is not there, or all in it is as it should be.
func allOf(folder string, right func(os.DirEntry) bool) bool {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return errors.Is(err, os.ErrNotExist) && !exists(folder) // or it's a link to nothing
	}
	return !slices.ContainsFunc(entries, func(entry os.DirEntry) bool { return !right(entry) })
}

// isLink: one that --unpack-to makes, to the program in a version.
func isLink(path string, it about) bool {
	target, _ := os.Readlink(path)
	name, inside := strings.CutPrefix(target, filepath.Join("..", versions)+"/")
	name, inTree := strings.CutSuffix(name, "/"+it.Run)
	kind, known := kindOf(name)
	return inside && inTree && known && kind == ""
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// point makes the link, or lets it point elsewhere, at once for all who look.
func point(link, target string) error {
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return err
	}
	if now, _ := os.Readlink(link); now == target {
		return nil
	}
	made := fmt.Sprintf("%s%s%d", link, scratching, os.Getpid())
	os.Remove(made)
	if err := os.Symlink(target, made); err != nil {
		return err
	}
	if err := os.Rename(made, link); err != nil {
		os.Remove(made)
		return err
	}
	sync(filepath.Dir(link))
	return nil
}

// dropScratch removes the links that killed ones left, which were about to give them the name of this one.
func dropScratch(link string, it about) {
	left, _ := os.ReadDir(filepath.Dir(link))
	for _, entry := range left {
		path := filepath.Join(filepath.Dir(link), entry.Name())
		info, err := entry.Info()
		if strings.HasPrefix(path, link+scratching) && isLink(path, it) && err == nil && time.Since(info.ModTime()) > unfinished {
			os.Remove(path)
		}
	}
}

// dropOthers removes the versions that this one replaces, and says which can't go yet.
func dropOthers(tree string) {
	entries, _ := os.ReadDir(filepath.Dir(tree))
	for _, entry := range entries {
		path := filepath.Join(filepath.Dir(tree), entry.Name())
		if kind, known := kindOf(entry.Name()); !known || kind != "" || !entry.IsDir() || path == tree {
			continue
		}
		switch err := remove(path); {
		case errors.Is(err, errInUse):
			say("the earlier version in %s stays: %v; an --unpack-to after they have ended removes it", path, err)
		case err != nil:
			say("the earlier version in %s stays: %s", path, because(err))
		}
	}
}
