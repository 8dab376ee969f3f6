package org.moe4j.models.gguf;

import java.util.ArrayList;
import java.util.List;

/**
 * How far an architecture of GGUF computes what a decoder computes: not at all if there are
 * obstacles, else in texts of up to {@link #context} tokens, but for what the remarks say.
 */
final class Fit {
  private final List<String> obstacles = new ArrayList<>();
  private final List<String> remarks = new ArrayList<>();
  private int context;

  /** For texts of up to {@code context} tokens, as far as is known. */
  Fit(int context) {
    this.context = context;
  }

  /** Unless it holds, {@code what} the decoder has is in the way. */
  void require(boolean holds, String what) {
    if (!holds) {
      obstacles.add(what);
    }
  }

  /** If it differs, {@code how} is told to whoever converts. */
  void remark(boolean differs, String how) {
    if (differs) {
      remarks.add(how);
    }
  }

  /** Only texts of up to {@code tokens} come out the same, because of {@code why}. */
  void limit(int tokens, String why) {
    if (tokens < context) {
      context = tokens;
      remarks.add(why + " is not in these files: its context ends at " + tokens + " tokens");
    }
  }

  List<String> obstacles() {
    return obstacles;
  }

  List<String> remarks() {
    return remarks;
  }

  int context() {
    return context;
  }
}
