package org.moe4j;

/** The routed experts of a layer, in either of the two ways to reach them. */
public sealed interface ExpertBank permits Experts, RetrievalExperts {
  /** E. */
  int count();
}
