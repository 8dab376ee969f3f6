package org.moe4j.engine.cache;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Pages of texts by their tokens: a node is a page, its parent the page before it. A page's numbers
 * are the same bits for all texts that begin with the same tokens, so any of them may read it. Only
 * leaves can have fewer tokens than a page has positions. Guarded by the pool.
 */
final class PrefixTree {
  /** A page behind those of its ancestors. */
  static final class Node {
    private final Optional<Node> parent;
    private final List<Node> children = new ArrayList<>();
    private int[] tokens;
    private Page page;
    private long used;

    private Node(Optional<Node> parent, int[] tokens, Page page) {
      this.parent = parent;
      this.tokens = tokens;
      this.page = page;
    }

    Page page() {
      return page;
    }

    private boolean whole() {
      return tokens.length == PageLayout.POSITIONS;
    }
  }

  /**
   * What a text can take over.
   *
   * @param pages whole ones
   * @param next the page that begins as the text goes on, with {@code more} tokens in common
   */
  record Match(List<Page> pages, Optional<Page> next, int more) {
    /** Without the page that would be copied. */
    Match whole() {
      return new Match(pages, Optional.empty(), 0);
    }
  }

  private final List<Node> nodes = new ArrayList<>();
  private final Node root;
  private long clock;

  /** An empty tree; {@code none} stands for the page of the root. */
  PrefixTree(Page none) {
    root = new Node(Optional.empty(), new int[0], none);
  }

  /** The longest prefix of the first {@code count} tokens. */
  Match find(int[] tokens, int count) {
    clock++;
    List<Page> pages = new ArrayList<>();
    Node at = root;
    int from = 0;
    while (true) {
      Optional<Node> best = Optional.empty();
      int most = 0;
      for (Node child : at.children) {
        int common = common(child, tokens, from, count);
        if (common > most) {
          most = common;
          best = Optional.of(child);
        }
      }
      best.ifPresent(node -> node.used = clock);
      if (most < PageLayout.POSITIONS) {
        return new Match(pages, best.map(Node::page), most);
      }
      at = best.orElseThrow();
      pages.add(at.page);
      from += PageLayout.POSITIONS;
    }
  }

  private static int common(Node node, int[] tokens, int from, int count) {
    int to = Math.min(count, from + node.tokens.length);
    int differs = Arrays.mismatch(node.tokens, 0, to - from, tokens, from, to);
    return differs < 0 ? to - from : differs;
  }

  /** What takes a text's pages in. */
  interface Pages {
    Page get(int index);

    /** The tree keeps {@code page} from now on. */
    void keep(Page page);

    /** The tree keeps {@code page} no longer. */
    void drop(Page page);

    /** The tree has a page of the same tokens. */
    void replace(int index, Page page);
  }

  /** Takes in the pages of the first {@code count} tokens of a text. */
  void add(int[] tokens, int count, Pages pages) {
    clock++;
    Node at = root;
    for (int from = 0; from < count; from += PageLayout.POSITIONS) {
      int[] own = Arrays.copyOfRange(tokens, from, Math.min(count, from + PageLayout.POSITIONS));
      int index = from / PageLayout.POSITIONS;
      Optional<Node> same = nearest(at, own);
      Node node;
      if (same.isEmpty()) {
        node = new Node(Optional.of(at), own, pages.get(index));
        at.children.add(node);
        nodes.add(node);
        pages.keep(node.page);
      } else {
        node = same.get();
        if (node.tokens.length < own.length) {
          pages.drop(node.page);
          node.tokens = own;
          node.page = pages.get(index);
          pages.keep(node.page);
        } else if (node.page != pages.get(index) && own.length == PageLayout.POSITIONS) {
          pages.replace(index, node.page);
        }
      }
      node.used = clock;
      if (!node.whole()) {
        return;
      }
      at = node;
    }
  }

  /** The child that begins as {@code own} does, or that {@code own} goes on from. */
  private static Optional<Node> nearest(Node at, int[] own) {
    for (Node child : at.children) {
      if (common(child, own, 0, own.length) == Math.min(own.length, child.tokens.length)) {
        return Optional.of(child);
      }
    }
    return Optional.empty();
  }

  /** Forgets the least recently used page that nobody reads and no other hangs on. */
  Optional<Page> evict() {
    Optional<Node> oldest = Optional.empty();
    for (Node node : nodes) {
      boolean idle = node.children.isEmpty() && node.page.holders == 1;
      if (idle && (oldest.isEmpty() || node.used < oldest.get().used)) {
        oldest = Optional.of(node);
      }
    }
    oldest.ifPresent(
        node -> {
          nodes.remove(node);
          node.parent.orElseThrow().children.remove(node);
        });
    return oldest.map(Node::page);
  }
}
