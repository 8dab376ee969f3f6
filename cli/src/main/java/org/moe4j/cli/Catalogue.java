package org.moe4j.cli;

import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.moe4j.BalanceRegistry;
import org.moe4j.ListedSystem;
import org.moe4j.Nearest;
import org.moe4j.ReadingList;
import org.moe4j.RouterEntry;
import org.moe4j.RouterRegistry;
import org.moe4j.tensor.MoeException;

/**
 * What {@code moe list} is asked for, all of it or by name.
 *
 * @param systems systems of the reading list
 * @param routers routers
 * @param losses balance losses
 */
record Catalogue(
    List<ListedSystem> systems, List<RouterEntry> routers, List<BalanceRegistry.Entry> losses) {

  /** Everything. */
  static Catalogue all() {
    return new Catalogue(
        ReadingList.systems(),
        List.copyOf(RouterRegistry.entries()),
        List.copyOf(BalanceRegistry.entries()));
  }

  /**
   * What bears one of these names: a number of the reading list, a system's name, a router's or a
   * loss's; letter case aside.
   *
   * @throws MoeException for a name that nothing bears, with the nearest that something does
   */
  Catalogue named(List<String> names) {
    names.forEach(this::require);
    return new Catalogue(
        systems.stream().filter(s -> among(names, s.id()) || among(names, s.name())).toList(),
        routers.stream().filter(r -> among(names, r.name())).toList(),
        losses.stream().filter(b -> among(names, b.loss().name())).toList());
  }

  private static boolean among(List<String> names, String name) {
    return names.stream().anyMatch(name::equalsIgnoreCase);
  }

  private void require(String name) {
    List<String> known =
        Stream.of(
                systems.stream().map(ListedSystem::id),
                systems.stream().map(ListedSystem::name),
                routers.stream().map(RouterEntry::name),
                losses.stream().map(b -> b.loss().name()))
            .flatMap(s -> s)
            .toList();
    if (known.stream().noneMatch(name::equalsIgnoreCase)) {
      if (name.matches("[sS]\\d+")) {
        ReadingList.system(name.toUpperCase(Locale.ROOT));
      }
      throw new MoeException(
          "no system, router or balance loss is called \""
              + name
              + "\"; did you mean \""
              + Nearest.to(name, known)
              + "\"?");
    }
  }

  /** The systems, and those that the routers and losses come from, in the list's order. */
  List<ListedSystem> systemsInvolved() {
    return ReadingList.systems().stream()
        .filter(
            s ->
                systems.contains(s)
                    || s.routers().stream().anyMatch(routers::contains)
                    || s.losses().stream().anyMatch(losses::contains))
        .toList();
  }

  /** The routers, and those of the systems. */
  List<RouterEntry> routersInvolved() {
    return RouterRegistry.entries().stream()
        .filter(r -> routers.contains(r) || systems.contains(ReadingList.system(r.paper())))
        .toList();
  }
}
