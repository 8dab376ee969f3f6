package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.Collection;
import java.util.List;
import java.util.stream.Collectors;
import org.moe4j.BalanceRegistry;
import org.moe4j.ListedSystem;
import org.moe4j.OptionKey;
import org.moe4j.ReadingList;
import org.moe4j.RouterEntry;
import org.moe4j.Taxonomy;

/** The reading list, routers and balance losses as text for a terminal of 100 columns. */
final class CatalogueText {
  private static final int LABEL = 10;

  private final PrintWriter out;
  private boolean begun;

  CatalogueText(PrintWriter out) {
    this.out = out;
  }

  /** One line per system. */
  void systems(List<ListedSystem> systems) {
    TextTable table = new TextTable(3, 23, 7, 6, 10, 4);
    table.row("id", "system", "state", "causal", "arXiv", "year", "routers");
    for (ListedSystem s : systems) {
      table.row(
          s.id(),
          s.name(),
          s.state().label(),
          Causal.yesOrNo(s.causal()),
          s.paper().arxiv(),
          Integer.toString(s.paper().year()),
          s.routers().stream().map(RouterEntry::name).collect(Collectors.joining(", ")));
    }
    table.print(out, 0);
    long built = systems.stream().filter(s -> s.state() == ListedSystem.State.BUILT).count();
    out.println();
    out.println(
        (systems.size() == 1 ? "1 system, " : systems.size() + " systems, ")
            + built
            + " built. Causal: decoding a token looks at no later token and no other sequence.");
  }

  /** One line per loss. */
  void losses(Collection<BalanceRegistry.Entry> losses) {
    out.println("Balance losses, for NAME = WEIGHT under [moe.losses]");
    TextTable table = new TextTable(24, 4);
    losses.forEach(b -> table.row(b.loss().name(), b.paper(), b.description()));
    table.print(out, 2);
  }

  /** Every router with its options. */
  void routers(List<RouterEntry> routers) {
    routers.forEach(this::router);
    out.println();
    out.println("An option is set with --set moe.options.KEY=VALUE or under [moe.options].");
  }

  /** A system with its paper, its values, its routers and losses. */
  void details(ListedSystem s) {
    title(s.id() + " " + s.name() + ", " + s.state().label());
    line("paper", s.paper().title());
    line("", "arXiv " + s.paper().arxiv() + ", " + s.paper().year());
    line("", s.paper().institution());
    line("causal", Causal.sentence(s.causality()));
    values(s.taxonomy());
    line("routers", names(s.routers().stream().map(RouterEntry::name).toList()));
    line("losses", names(s.losses().stream().map(b -> b.loss().name()).toList()));
  }

  /** A router with its options and values. */
  void details(RouterEntry r) {
    router(r);
    values(r.taxonomy());
  }

  /** A balance loss. */
  void details(BalanceRegistry.Entry b) {
    title(b.loss().name() + ", balance loss of " + origin(b.paper()));
    line("loss", b.description());
  }

  private void title(String text) {
    if (begun) {
      out.println();
    }
    begun = true;
    out.println(text);
  }

  private void router(RouterEntry r) {
    title(r.name() + ", router of " + origin(r.paper()));
    line("router", r.description());
    line("causal", Causal.sentence(r.causality()));
    r.choices().ifPresent(k -> line("top-k", k + " and no other"));
    line("losses", names(r.losses()));
    if (r.options().isEmpty()) {
      line("options", "-");
      return;
    }
    line("options", "default, meaning");
    TextTable table = new TextTable(28, 20);
    for (OptionKey key : r.options()) {
      table.row(key.key(), key.standard().toString(), doc(key));
    }
    table.print(out, 4);
  }

  /** The doc, and the words that are allowed unless it names them all. */
  private static String doc(OptionKey key) {
    return key.values().stream().allMatch(key.doc()::contains)
        ? key.doc()
        : key.doc() + " (" + String.join(", ", key.values()) + ")";
  }

  private static String origin(String paper) {
    return paper + " " + ReadingList.system(paper).name();
  }

  private void values(Taxonomy taxonomy) {
    taxonomy.values().forEach((dimension, value) -> line(dimension, MatrixText.shown(value)));
  }

  private static String names(List<String> names) {
    return names.isEmpty() ? "-" : String.join(", ", names);
  }

  private void line(String label, String text) {
    TextTable table = new TextTable(LABEL);
    table.row(label + " ".repeat(LABEL - label.length()), text);
    table.print(out, 2);
  }
}
