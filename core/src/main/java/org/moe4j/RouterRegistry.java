package org.moe4j;

import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.moe4j.tensor.MoeException;

/** Every router by its name in configuration files. A new router is one line here. */
public final class RouterRegistry {
  private static final Map<String, RouterEntry> ENTRIES = new LinkedHashMap<>();

  static {
    for (RouterEntry entry :
        List.of(
            LinearRouter.softmaxTopK(),
            LinearRouter.sigmoidTopK(),
            NoisyTopKRouter.entry(),
            HierarchicalRouter.entry(),
            BatchwiseRouter.entry(),
            GShardRouter.gshard(),
            SwitchRouter.entry(),
            FastMoeGates.naive(),
            FastMoeGates.noisy(),
            FastMoeGates.gshard(),
            FastMoeGates.switchGate(),
            SwipeRouter.entry(),
            GShardRouter.stMoe(),
            DSelectKRouter.entry(),
            SoftMoeRouter.entry(),
            DsMoeRouter.entry(),
            DsMoeRouter.batchK(),
            MultiHeadMoe.entry(),
            SparseMixerRouter.entry(),
            HashRouter.entry(),
            NgramHashRouter.entry(),
            NgramHashRouter.future(),
            MultiHashRouter.entry(),
            DemixRouter.entry(),
            MocleRouter.entry(),
            LinearRouter.lossFree(),
            LinearRouter.deepSeekMoe(),
            LinearRouter.skywork(),
            DeepSeekV2Router.entry(),
            AttentionRouter.entry(),
            RecurrentRouter.entry(),
            VMoeRouter.entry(),
            ExpertChoiceRouter.entry(),
            MomaRouter.entry(),
            MoneRouter.entry(),
            BaseRouter.entry(),
            SBaseRouter.entry(),
            ReinforcedRouter.entry(),
            SparseTransportRouter.tokens(),
            SparseTransportRouter.causalTokens(),
            SparseTransportRouter.experts(),
            SpeechMoeRouter.entry(),
            SigmaMoeRouter.entry(),
            ProductKeyRouter.peer(),
            ProductKeyRouter.pkm())) {
      ENTRIES.put(entry.name(), entry);
    }
  }

  private RouterRegistry() {}

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
          "unknown router \""
              + name
              + "\"; did you mean \""
              + Nearest.to(name, ENTRIES.keySet())
              + "\"? (known: "
              + String.join(", ", ENTRIES.keySet())
              + ")");
    }
    return entry;
  }
}
