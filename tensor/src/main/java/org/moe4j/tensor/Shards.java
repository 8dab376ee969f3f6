package org.moe4j.tensor;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/**
 * The open files of a checkpoint and which of them holds which tensor: one file, or a folder with
 * one file or with an index and its shards.
 *
 * @param <F> an open file
 * @param <S> where a tensor lies in its file
 */
final class Shards<F, S> {
  /**
   * What a format calls its files.
   *
   * @param single the file of an unsharded folder
   * @param index the list of shards of another
   * @param ending of all its files
   */
  record Naming(String single, String index, String ending) {}

  /** A tensor's file and its place there. */
  record Place<F, S>(F file, S slot) {}

  private final Path path;
  private final Function<Path, F> opener;
  private final Function<F, Map<String, S>> slots;
  private final Map<Path, F> files = new LinkedHashMap<>();
  private final Map<String, Place<F, S>> places = new LinkedHashMap<>();

  Shards(Path path, Function<Path, F> opener, Function<F, Map<String, S>> slots) {
    this.path = path;
    this.opener = opener;
    this.slots = slots;
  }

  /**
   * Opens what {@code path} stands for; the files opened until a failure stay in {@link #files}.
   *
   * @throws MoeException if there is none, or a file is not valid
   */
  void open(Naming naming) {
    if (!Files.exists(path)) {
      throw new MoeException(path + ": no such file or folder");
    }
    Path single = path.resolve(naming.single());
    if (!Files.isDirectory(path)) {
      addFile(path);
    } else if (Files.exists(single)) {
      addFile(single);
    } else {
      addShards(naming);
    }
  }

  private void addFile(Path file) {
    F f = openOnce(file);
    slots.apply(f).forEach((name, slot) -> places.put(name, new Place<>(f, slot)));
  }

  private void addShards(Naming naming) {
    Path index = path.resolve(naming.index());
    if (!Files.exists(index)) {
      throw new MoeException(path + " holds neither " + naming.single() + " nor " + naming.index());
    }
    ShardIndex.forEach(
        index,
        naming.ending(),
        (name, shard) -> {
          F f = openOnce(shard);
          S slot = slots.apply(f).get(name);
          if (slot == null) {
            throw ShardIndex.notInShard(index, name, shard);
          }
          places.put(name, new Place<>(f, slot));
        });
  }

  private F openOnce(Path file) {
    return files.computeIfAbsent(file, opener);
  }

  Path path() {
    return path;
  }

  Collection<F> files() {
    return files.values();
  }

  Set<String> names() {
    return Collections.unmodifiableSet(places.keySet());
  }

  /**
   * Where the tensor of this name lies.
   *
   * @throws MoeException if there is none
   */
  Place<F, S> place(String name) {
    Place<F, S> p = places.get(name);
    if (p == null) {
      throw new MoeException(path + ": no tensor " + Names.shown(name));
    }
    return p;
  }
}
