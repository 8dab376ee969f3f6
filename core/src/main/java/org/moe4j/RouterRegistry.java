package org.moe4j;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.moe4j.tensor.MoeException;

/** Every router by its name in configuration files. */
public final class RouterRegistry {
  private static final Map<String, RouterEntry> ENTRIES = new LinkedHashMap<>();

  private static final Taxonomy TOKEN_TOP_K =
      new Taxonomy(
          "token",
          "linear",
          "token",
          "gate gradient",
          "n",
          "softmax then select",
          "fraction times probability",
          "dropless",
          "feed-forward + every layer",
          "many small",
          "grouped",
          "pre-train + fine-tune + serve");

  static {
    add(
        linear(
            "softmax-top-k",
            "S34",
            "linear router, softmax, k best; every gating order as options",
            Gating.SOFTMAX_TOP_K,
            0,
            TOKEN_TOP_K));
  }

  private RouterRegistry() {}

  private static void add(RouterEntry entry) {
    ENTRIES.put(entry.name(), entry);
  }

  private static RouterEntry linear(
      String name, String paper, String description, Gating standard, double jitter, Taxonomy t) {
    List<OptionKey> keys = new ArrayList<>(GatingOptions.keys(standard));
    keys.add(OptionKey.flag("bias", false, "a trained bias on the logits"));
    keys.add(OptionKey.number("jitter", jitter, "in training x is multiplied by 1 +- this"));
    return new RouterEntry(
        name,
        paper,
        description,
        Causality.PER_TOKEN,
        t,
        List.copyOf(keys),
        s ->
            new LinearRouter(
                GatingOptions.read(s.options()),
                s.config().width(),
                s.config().experts(),
                s.config().topK(),
                s.options().flag("bias"),
                s.options().number("jitter"),
                s.config().init().gate(s.config().width()),
                s.store(),
                s.layer()),
        s -> {
          long experts = s.config().experts();
          return experts * s.config().width()
              + (s.options().flag("bias") ? experts : 0)
              + (s.options().flag("selection-bias") ? experts : 0);
        });
  }

  /** All entries. */
  public static Collection<RouterEntry> entries() {
    return Collections.unmodifiableCollection(ENTRIES.values());
  }

  /**
   * The entry of this name.
   *
   * @throws MoeException naming the nearest known one
   */
  public static RouterEntry named(String name) {
    RouterEntry entry = ENTRIES.get(name);
    if (entry == null) {
      throw new MoeException(
          "unknown router \"" + name + "\"; did you mean \"" + Nearest.to(name, ENTRIES.keySet())
              + "\"? (known: " + String.join(", ", ENTRIES.keySet()) + ")");
    }
    return entry;
  }
}
