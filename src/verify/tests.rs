mod bound;
mod lab;
mod rest;
mod verdicts;
mod words;
