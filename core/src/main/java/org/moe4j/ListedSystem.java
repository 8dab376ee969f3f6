package org.moe4j;

import java.util.List;
import java.util.Locale;

/**
 * One system of the reading list.
 *
 * @param id its number, {@code S01} to {@code S60}
 * @param name the short name it is known by
 * @param paper where it is described
 * @param state whether it runs here
 * @param causality which other tokens its routing looks at; of its variants, what the paper's own
 *     models do
 * @param taxonomy the twelve values of S22; {@code none} where a dimension does not apply
 */
public record ListedSystem(
    String id, String name, Paper paper, State state, Causality causality, Taxonomy taxonomy) {
  /**
   * A paper.
   *
   * @param title its title
   * @param arxiv its number on arXiv
   * @param year when it appeared
   * @param institution the authors', separated by commas
   */
  public record Paper(String title, String arxiv, int year, String institution) {
    /** Title, number, year and institutions in one line. */
    @Override
    public String toString() {
      return title + " (arXiv " + arxiv + ", " + year + ", " + institution + ")";
    }
  }

  /** Whether a system runs. */
  public enum State {
    /** Its parts are here and tested. */
    BUILT,
    /** Not yet. */
    PLANNED;

    /** The word in lists: {@code built}. */
    public String label() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** Whether its routing keeps a causal model causal when it generates. */
  public boolean causal() {
    return causality.decodes();
  }

  /** The routers that come from this system. */
  public List<RouterEntry> routers() {
    return RouterRegistry.entries().stream().filter(r -> r.paper().equals(id)).toList();
  }

  /** The balance losses that come from this system. */
  public List<BalanceRegistry.Entry> losses() {
    return BalanceRegistry.entries().stream().filter(b -> b.paper().equals(id)).toList();
  }
}
