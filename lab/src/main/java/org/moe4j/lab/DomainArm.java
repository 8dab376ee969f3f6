package org.moe4j.lab;

import java.util.List;
import org.moe4j.models.DecoderConfig;
import org.moe4j.train.ModelPlan;
import org.moe4j.train.config.TrainingConfig;

/**
 * The small decoder of a {@link LanguageArm} on a few labelled domains, each the same share of
 * every batch; afterwards it learns one more domain, and one is taken away where that can be done.
 *
 * @param base its settings; with experts there are as many as domains
 */
public record DomainArm(LanguageArm base) implements Workload {
  /** The quantities that a run of it gives. */
  public static final class Quantities {
    /** Of the known domains, each with its label. */
    public static final Metric LABELLED =
        perplexity("labelled", "perplexity of a token, mean over domains, label known");

    /** Of the known domains. Without labels a mixture must find out which one it reads. */
    public static final Metric UNLABELLED =
        perplexity("unlabelled", "perplexity of a token, mean over domains, label unknown");

    /** Of a domain that was never trained on. */
    public static final Metric NEW =
        perplexity("new", "perplexity of a domain that was never trained on");

    /** By how much log perplexity of the new domain is below that of the best expert alone. */
    public static final Metric MIXING =
        rise(
            "mixing",
            "gain of mixing over the best expert alone, log perplexity of a new domain",
            Metric.Better.HIGHER);

    /** Of all domains, when the new one has been learned. */
    public static final Metric ALL =
        perplexity("all", "perplexity, mean over all five domains, the new one learned");

    /** Of the new domain alone then. */
    public static final Metric ADAPTED =
        perplexity("adapted", "perplexity of the new domain, learned");

    /** By how much log perplexity of the known domains has risen then. */
    public static final Metric FORGOTTEN =
        rise("forgotten", "rise of the old domains’ log perplexity", Metric.Better.LOWER);

    /** By how much that of the domain rises whose expert is taken away. */
    public static final Metric REMOVED =
        rise("removed", "rise of the removed domain’s log perplexity", Metric.Better.HIGHER);

    /** By how much that of the others does. */
    public static final Metric OTHERS =
        rise("others", "rise of the other domains’ log perplexity", Metric.Better.LOWER);

    private Quantities() {}

    private static Metric perplexity(String key, String label) {
      return new Metric(key, label, Metric.Better.LOWER, Metric.Scale.RATIO, 2);
    }

    private static Metric rise(String key, String label, Metric.Better better) {
      return new Metric(key, label, better, Metric.Scale.DIFFERENCE, 3);
    }
  }

  @Override
  public List<String> settings() {
    return base.settings();
  }

  private TrainingConfig config(int steps) {
    return base.with("moe.experts=" + DomainCorpus.KNOWN).config(steps);
  }

  private static DomainCorpus corpus(Bench bench, TrainingConfig config) {
    return bench.kept(
        DomainCorpus.class,
        List.of(DomainCorpus.class, config.data(), config.run().seed()),
        () -> DomainCorpus.read(config, JavaSources.ofThisJdk()));
  }

  @Override
  public Cost cost(Bench bench) {
    TrainingConfig config = config(1);
    return Cost.of(
        plan(config, corpus(bench, config)),
        config.data().sequenceLength(),
        config.train().batchSize());
  }

  /** The decoder before it learns more. */
  static DecoderConfig plan(TrainingConfig config, DomainCorpus corpus) {
    return ModelPlan.of(config, corpus.tokenizer().vocabSize());
  }

  @Override
  public Trial start(Bench bench, long seed, int steps) {
    TrainingConfig config = config(steps);
    return new DomainTrial(config, corpus(bench, config), bench, seed);
  }
}
