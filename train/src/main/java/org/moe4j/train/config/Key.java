package org.moe4j.train.config;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * What a configuration key means and which values it takes. It stands on a record component; the
 * key in the file is the component's name in kebab case ({@code topK} is {@code top-k}). On a
 * component that is itself a record it documents the section.
 */
@Documented
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.RECORD_COMPONENT)
public @interface Key {
  /** One or two sentences for the person who writes the file. */
  String doc();

  /** What a number counts, for example {@code tokens}. */
  String unit() default "";

  /** The smallest number allowed. */
  double min() default Double.NEGATIVE_INFINITY;

  /** The largest number allowed. */
  double max() default Double.POSITIVE_INFINITY;

  /** A number must be larger than this. */
  double above() default Double.NEGATIVE_INFINITY;

  /** A number must be smaller than this. */
  double below() default Double.POSITIVE_INFINITY;
}
