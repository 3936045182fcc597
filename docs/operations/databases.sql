-- Run once, when PostgreSQL's volume is new.
create database prefect;
create database mlflow;
create database mlflow_users;
